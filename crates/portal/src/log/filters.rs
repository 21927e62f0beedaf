//! The delivery log's filters: from the address into a search, and back into the address.

use tidings_domain::{
    company::CompanyId,
    cursor::Order,
    event_type::EventTypePattern,
    id::{EventId, SubscriptionId},
    time::UtcMillis,
};
use tidings_store::{AttemptSearch, OutcomeFilter, Position, StatusFilter};

use crate::{
    moment,
    query_form::{Field, Reader},
    texts::{LogTexts, Texts},
    visit::Fields,
};

/// Patterns of event types at most.
const TYPES_MAX: usize = 20;

/// Which attempts are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) webhook: Option<SubscriptionId>,
    pub(super) outcome: Option<OutcomeFilter>,
    pub(super) status: Option<StatusFilter>,
    pub(super) types: Vec<EventTypePattern>,
    pub(super) event: Option<EventId>,
    pub(super) since: Option<UtcMillis>,
    pub(super) until: Option<UtcMillis>,
}

/// The filters' fields.
#[derive(Clone, Debug, Default)]
pub(super) struct FilterForm {
    pub(super) webhook: Field,
    pub(super) outcome: Field,
    pub(super) status: Field,
    pub(super) types: Field,
    pub(super) event: Field,
    pub(super) since: Field,
    pub(super) until: Field,
}

impl FilterForm {
    /// Reads the query; no filters where any of its values breaks its rule.
    pub(super) fn read(query: &Fields, t: &'static Texts) -> (Self, Option<Filters>) {
        let words = &t.log;
        let mut reader = Reader::new(query, t);
        let (webhook, webhook_id) = reader.field("webhook", words.webhook, SubscriptionId::parse);
        let (outcome, which) = reader.field("outcome", words.outcome, |text| {
            outcome_of(text).ok_or(words.must_be_outcome)
        });
        let (status, statuses) = reader.field("status", words.status, |text| {
            status_of(text).ok_or(words.must_be_status)
        });
        let (types, patterns) =
            reader.field("type", words.event_type, |text| patterns_of(text, words));
        let (event, event_id) = reader.field("event", words.event, EventId::parse);
        let mut time = |name, label| {
            let parse = |text: &str| moment::parse_field(text).map_err(|_| words.must_be_time);
            let (mut field, time) = reader.field(name, label, parse);
            if let Some(time) = time {
                field.typed = in_field(time);
            }
            (field, time)
        };
        let (since, from) = time("since", words.since);
        let (mut until, to) = time("until", words.until);
        if from.zip(to).is_some_and(|(from, to)| to <= from) {
            reader.refuse(&mut until, words.until, &words.must_be_later);
        }
        let filters = Filters {
            webhook: webhook_id,
            outcome: which,
            status: statuses,
            types: patterns.unwrap_or_default(),
            event: event_id,
            since: from,
            until: to,
        };
        let filters = reader.is_sound().then_some(filters);
        let form = Self {
            webhook,
            outcome,
            status,
            types,
            event,
            since,
            until,
        };
        (form, filters)
    }
}

impl Filters {
    /// Whether anything is filtered at all.
    pub(super) fn any(&self) -> bool {
        *self != Self::default()
    }

    /// The query's pairs that say the same.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let types: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        let pairs = [
            ("webhook", self.webhook.map(|id| id.to_string())),
            (
                "outcome",
                self.outcome.map(|outcome| outcome_word(outcome).to_owned()),
            ),
            ("status", self.status.map(status_word)),
            ("type", (!types.is_empty()).then(|| types.join(","))),
            ("event", self.event.map(|id| id.to_string())),
            ("since", self.since.map(in_field)),
            ("until", self.until.map(in_field)),
        ];
        let given = pairs.into_iter();
        given
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The search for them.
    pub(super) fn search(
        &self,
        company: &CompanyId,
        order: Order,
        after: Option<Position>,
        limit: usize,
        look_at_max: usize,
    ) -> AttemptSearch {
        AttemptSearch {
            company: company.clone(),
            subscription: self.webhook,
            outcome: self.outcome,
            status: self.status,
            types: self.types.clone(),
            event: self.event,
            since: self.since,
            until: self.until,
            order,
            after,
            limit,
            look_at_max,
        }
    }
}

/// A time as a field of type `datetime-local` takes it, in UTC.
fn in_field(time: UtcMillis) -> String {
    let text = time.to_string();
    let text = text.trim_end_matches('Z');
    text.trim_end_matches(".000").to_owned()
}

fn outcome_of(text: &str) -> Option<OutcomeFilter> {
    [OutcomeFilter::Succeeded, OutcomeFilter::Failed]
        .into_iter()
        .find(|outcome| outcome_word(*outcome) == text)
}

fn outcome_word(outcome: OutcomeFilter) -> &'static str {
    match outcome {
        OutcomeFilter::Succeeded => "succeeded",
        OutcomeFilter::Failed => "failed",
    }
}

/// `404`, `5xx` or `none`.
fn status_of(text: &str) -> Option<StatusFilter> {
    if text == NO_ANSWER {
        return Some(StatusFilter::NoAnswer);
    }
    let &[class @ b'1'..=b'9', ref rest @ ..] = text.as_bytes() else {
        return None;
    };
    match rest {
        b"xx" | b"XX" => Some(StatusFilter::Class(class - b'0')),
        [b'0'..=b'9', b'0'..=b'9'] => text.parse().ok().map(StatusFilter::Exactly),
        _ => None,
    }
}

/// The word in the address for attempts without any answer.
const NO_ANSWER: &str = "none";

fn status_word(status: StatusFilter) -> String {
    match status {
        StatusFilter::Exactly(status) => status.to_string(),
        StatusFilter::Class(class) => format!("{class}xx"),
        StatusFilter::NoAnswer => NO_ANSWER.to_owned(),
    }
}

/// Patterns, separated by commas or space.
fn patterns_of(text: &str, words: &LogTexts) -> Result<Vec<EventTypePattern>, String> {
    let pieces = text.split([',', ' ']).filter(|piece| !piece.is_empty());
    let patterns = pieces.map(EventTypePattern::parse);
    let patterns: Vec<_> = patterns
        .collect::<Result<_, _>>()
        .map_err(|rule| rule.to_string())?;
    if patterns.len() > TYPES_MAX {
        return Err(words.must_be_fewer_types(TYPES_MAX));
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts;

    fn read(query: &str) -> (FilterForm, Option<Filters>) {
        FilterForm::read(&Fields::parse(query.as_bytes()), texts::default())
    }

    #[test]
    fn filters_go_into_the_address_and_back() {
        let query = "webhook=sub_01h455vb4pex5vsknk084sn02q&outcome=failed&status=5xx\
                     &type=client.*,a.b&event=evt_01h455vb4pex5vsknk084sn02q\
                     &since=2026-11-26T10:15&until=2026-11-26T10:20:00.5Z";
        let (_, filters) = read(query);
        let filters = filters.unwrap();
        assert_eq!(filters.status, Some(StatusFilter::Class(5)));
        assert_eq!(filters.types.len(), 2);
        let address = crate::query_form::address("", &filters.pairs());
        assert_eq!(read(&address[1..]).1, Some(filters));
    }

    #[test]
    fn nothing_typed_filters_nothing() {
        let (form, filters) = read("webhook=&outcome=&status=+&type=&event=&since=&until=");
        assert!(!filters.unwrap().any());
        assert_eq!(form.status, Field::default());
    }

    #[test]
    fn every_mistake_is_told_at_its_field_and_nothing_is_applied() {
        let (form, filters) = read(
            "webhook=evt_1&outcome=odd&status=4x4&type=a..b&event=x&since=yesterday&until=2026",
        );
        assert_eq!(filters, None);
        let fields = [
            form.webhook,
            form.outcome,
            form.status,
            form.types,
            form.event,
            form.since,
            form.until,
        ];
        for field in fields {
            assert!(
                field.problem.is_some() && !field.typed.is_empty(),
                "{field:?}"
            );
        }
        let (form, filters) = read("since=2026-11-26T10:15&until=2026-11-26T10:15");
        assert!(filters.is_none() && form.until.problem.is_some());
        assert!(read(&format!("type={}", "a,".repeat(21))).1.is_none());
    }

    #[test]
    fn a_status_is_one_a_class_or_none() {
        assert_eq!(status_of("404"), Some(StatusFilter::Exactly(404)));
        assert_eq!(status_of("4XX"), Some(StatusFilter::Class(4)));
        assert_eq!(status_of("none"), Some(StatusFilter::NoAnswer));
        for text in ["", "4", "40", "4040", "0xx", "4x", "x", "éé", "-1"] {
            assert_eq!(status_of(text), None, "{text}");
        }
    }
}
