//! Paging: what all listings have in common. A page says where it ended with a sealed cursor, and
//! the next request says where to go on by giving it back.

use std::fmt::Write as _;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use tidings_domain::{
    company::CompanyId,
    cursor::{Cursor, Order},
};
use tidings_store::Position;

use crate::{
    answer,
    caller::COMPANY_NEEDED,
    problem::{Code, Problem},
    query::Query,
    state::Api,
};

const X_PAGING_CURSOR: HeaderName = HeaderName::from_static("x-paging-cursor");
const X_PAGING_HAS_MORE: HeaderName = HeaderName::from_static("x-paging-has-more");
/// The most items of a page.
const LIMIT_MAX: u32 = 1000;
/// The items of a page where nobody says.
const LIMIT_DEFAULT: u32 = 100;
/// The cursor of a reader that wants what is yet to come.
const NOW: &str = "now";

/// What a request asks of any listing.
#[derive(Debug)]
pub(crate) struct Asked {
    cursor: Option<String>,
    order: Option<Order>,
    limit: u32,
}

/// Which listing a request is for.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    /// Its name; cursors of one are not good for another.
    pub(crate) name: &'static str,
    /// Whose: a company, or a subscription. None where the platform's key names nobody.
    pub(crate) owner: Option<&'a str>,
    /// Its filters in a normal form, where any are given.
    pub(crate) filters: Option<Vec<String>>,
    /// Its order where nobody says.
    pub(crate) default_order: Order,
    /// Whether `cursor=now` makes sense.
    pub(crate) has_now: bool,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the listing's own beginning.
    Beginning,
    /// At the present.
    Now,
    /// Behind this position.
    After(Position),
}

/// A page to read: what was asked, completed by what the cursor carries.
#[derive(Debug)]
pub(crate) struct Place {
    listing: &'static str,
    /// Whose listing; see [`Listing::owner`].
    owner: String,
    /// In which order.
    pub(crate) order: Order,
    /// Its filters, in their normal form.
    pub(crate) filters: Vec<String>,
    /// Where it begins.
    pub(crate) start: Start,
    /// At most so many items.
    pub(crate) limit: usize,
    /// Whether the next page's address has to name the company, as the key does not.
    pub(crate) names_company: bool,
}

impl Asked {
    /// Reads `cursor`, `order` and `limit`.
    pub(crate) fn read(query: &mut Query<'_>) -> Self {
        Self {
            cursor: query.optional("cursor", |text| Ok::<_, &str>(text.to_owned())),
            order: query.optional("order", |text| match text {
                "asc" => Ok(Order::Ascending),
                "desc" => Ok(Order::Descending),
                _ => Err("must be asc or desc"),
            }),
            limit: query
                .integer_in("limit", 1..=LIMIT_MAX)
                .unwrap_or(LIMIT_DEFAULT),
        }
    }

    /// Makes it a stream's: its order is that of the log, and what its reader saw last goes before
    /// a cursor in the query.
    pub(crate) fn stream_from(&mut self, query: &mut Query<'_>, last_seen: Option<String>) {
        if self.order == Some(Order::Descending) {
            query.refuse("order", "must be asc: a stream has the order of the log");
        }
        if last_seen.is_some() {
            self.cursor = last_seen;
        }
        // A cursor of the other order is refused.
        self.order = Some(Order::Ascending);
    }

    /// Finds the page. 400 for a cursor that is not good for this listing, 422 where neither the
    /// key nor the request nor the cursor says whose it is.
    pub(crate) fn place(self, api: &Api, listing: Listing<'_>) -> Result<Place, Problem> {
        let start = match self.cursor.as_deref() {
            None => Start::Beginning,
            Some(NOW) if listing.has_now => Start::Now,
            Some(text) => return self.place_after(api, text, listing),
        };
        let owner = listing.owner.map(ToOwned::to_owned);
        Ok(Place {
            listing: listing.name,
            owner: owner.ok_or_else(|| Problem::invalid_field("/companyId", COMPANY_NEEDED))?,
            order: self.order.unwrap_or(listing.default_order),
            filters: listing.filters.unwrap_or_default(),
            start,
            limit: self.limit as usize,
            names_company: false,
        })
    }

    fn place_after(&self, api: &Api, text: &str, listing: Listing<'_>) -> Result<Place, Problem> {
        let cursor = api
            .cursor_key
            .open(text)
            .map_err(|error| invalid_cursor(format!("the cursor {error}")))?;
        if cursor.listing != listing.name
            || listing.owner.is_some_and(|owner| owner != cursor.owner)
        {
            let detail = "the cursor belongs to another listing";
            return Err(invalid_cursor(detail.to_owned()));
        }
        if self.order.is_some_and(|order| order != cursor.order) {
            let detail = "the cursor belongs to the other order; leave order out, or start anew";
            return Err(invalid_cursor(detail.to_owned()));
        }
        if listing
            .filters
            .is_some_and(|filters| filters != cursor.filters)
        {
            let detail = "the cursor belongs to other filters; leave filters out, or start anew";
            return Err(invalid_cursor(detail.to_owned()));
        }
        Ok(Place {
            listing: listing.name,
            owner: cursor.owner,
            order: cursor.order,
            filters: cursor.filters,
            start: Start::After(cursor.position),
            limit: self.limit as usize,
            names_company: false,
        })
    }
}

impl Place {
    /// The company whose listing it is.
    pub(crate) fn company(&self) -> Result<CompanyId, Problem> {
        // The owner was a company id before it was sealed into a cursor.
        CompanyId::parse(&self.owner)
            .map_err(|_| Problem::internal("the owner of a listing is no company"))
    }

    /// The position to read behind, where the page does not begin at a beginning or at the
    /// present.
    pub(crate) fn after(&self) -> Option<Position> {
        match self.start {
            Start::After(position) => Some(position),
            Start::Beginning | Start::Now => None,
        }
    }

    /// The cursor behind a position.
    pub(crate) fn cursor(&self, api: &Api, position: Position) -> String {
        api.cursor_key.seal(&Cursor {
            listing: self.listing.to_owned(),
            owner: self.owner.clone(),
            order: self.order,
            filters: self.filters.clone(),
            position,
        })
    }

    /// The answer: a bare array, and where to go on. `path` is the listing's own.
    pub(crate) fn answer(
        self,
        api: &Api,
        path: &str,
        json: Bytes,
        next: Position,
        has_more: bool,
    ) -> Response {
        let cursor = self.cursor(api, next);
        let mut response = answer::json_bytes(json);
        let headers = response.headers_mut();
        if has_more {
            let mut link = format!("<{path}?cursor={cursor}&limit={}", self.limit);
            if self.names_company {
                // Writing to a String cannot fail; a company id needs no escaping.
                let _ = write!(link, "&companyId={}", self.owner);
            }
            link.push_str(r#">; rel="next""#);
            if let Ok(link) = HeaderValue::try_from(link) {
                headers.insert(header::LINK, link);
            }
        }
        let has_more = if has_more { "true" } else { "false" };
        headers.insert(X_PAGING_HAS_MORE, HeaderValue::from_static(has_more));
        // Base64url is visible ASCII.
        if let Ok(cursor) = HeaderValue::try_from(cursor) {
            headers.insert(X_PAGING_CURSOR, cursor);
        }
        response
    }
}

fn invalid_cursor(detail: String) -> Problem {
    Problem::new(Code::InvalidCursor, detail)
}
