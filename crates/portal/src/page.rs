//! Pages: what every template knows besides its own matter.

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};
use http::HeaderValue;
use tidings_domain::{company::CompanyId, random::Random, visitor::Visitor};

use crate::{
    assets,
    fault::Fault,
    texts::{self, Texts},
    visit::Visit,
};

/// Which part of the portal a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Webhooks,
    Log,
    Events,
    Types,
    Keys,
    Audit,
    Platform,
    Users,
    Account,
    Outside,
}

/// What every template knows: its field is called `page`.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// What it says.
    pub(crate) t: &'static Texts,
    /// What it is called.
    pub(crate) title: String,
    /// Where it belongs.
    pub(crate) section: Section,
    /// Who looks at it; none where nobody is signed in.
    pub(crate) visitor: Option<Visitor>,
    /// Whose affairs it shows; none for the platform's own.
    pub(crate) company: Option<CompanyId>,
    /// The token that its forms carry in the field `csrf`.
    pub(crate) csrf: String,
    /// What was just done, in a sentence.
    pub(crate) notice: Option<&'static str>,
}

impl Page {
    /// A page for nobody in particular.
    pub(crate) fn bare(title: String) -> Self {
        Self {
            t: texts::default(),
            title,
            section: Section::Outside,
            visitor: None,
            company: None,
            csrf: String::new(),
            notice: None,
        }
    }

    /// A page for a visitor. What was just done is named by the query's `done`.
    pub(crate) fn of(
        visit: &Visit,
        company: Option<&CompanyId>,
        section: Section,
        title: &str,
    ) -> Self {
        let t = texts::default();
        Self {
            t,
            title: title.to_owned(),
            section,
            visitor: Some(visit.visitor.clone()),
            company: company.cloned(),
            csrf: visit.csrf(),
            notice: visit.done().and_then(|done| t.notice(&done)),
        }
    }

    /// Where a file of `assets/` is served.
    #[expect(clippy::unused_self, reason = "templates reach it by the page alone")]
    pub(crate) fn asset(&self, file: &str) -> &'static str {
        assets::path(file)
    }

    /// A path of the company that the page is about: `link("webhooks")`.
    pub(crate) fn link(&self, tail: &str) -> String {
        match &self.company {
            Some(company) if tail.is_empty() => format!("/portal/c/{company}"),
            Some(company) => format!("/portal/c/{company}/{tail}"),
            None => format!("/portal/{tail}"),
        }
    }

    /// Whether the page is in this section, for `aria-current`.
    pub(crate) fn is(&self, section: &str) -> bool {
        let own = match self.section {
            Section::Overview => "overview",
            Section::Webhooks => "webhooks",
            Section::Log => "log",
            Section::Events => "events",
            Section::Types => "types",
            Section::Keys => "keys",
            Section::Audit => "audit",
            Section::Platform => "platform",
            Section::Users => "users",
            Section::Account => "account",
            Section::Outside => "outside",
        };
        own == section
    }

    /// Whether the visitor is one of the platform's own people.
    pub(crate) fn is_operator(&self) -> bool {
        self.visitor.as_ref().is_some_and(Visitor::is_operator)
    }

    /// Whether the visitor may change what the page shows.
    pub(crate) fn may_change(&self) -> bool {
        match (&self.visitor, &self.company) {
            (Some(visitor), Some(company)) => visitor.may_change(company),
            (Some(visitor), None) => visitor.is_operator(),
            (None, _) => false,
        }
    }

    /// How the visitor is called.
    pub(crate) fn visitor_name(&self) -> String {
        match &self.visitor {
            Some(Visitor::Operator { email, .. }) => email.to_string(),
            Some(Visitor::Guest { company, role }) => {
                format!("{company} ({})", self.t.common.role(*role))
            }
            None => String::new(),
        }
    }
}

/// The answer with a page.
pub(crate) fn render(template: &impl Template) -> Result<Response, Fault> {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => {
            tracing::error!(%error, "a template failed");
            Err(Fault::Internal)
        }
    }
}

/// An id for an answer, as the API gives.
pub(crate) fn request_id(random: &dyn Random) -> HeaderValue {
    let mut bytes = [0; 12];
    random.fill(&mut bytes);
    // Hexadecimal digits are a valid field value.
    HeaderValue::from_str(&assets::hex(&bytes)).unwrap_or(HeaderValue::from_static("unknown"))
}
