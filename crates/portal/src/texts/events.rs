//! What the pages about events say.

use tidings_store::DeliveryState;

#[derive(Debug)]
pub(crate) struct EventTexts {
    pub(crate) find: &'static str,
    pub(crate) open: &'static str,
    pub(crate) browse: &'static str,
    pub(crate) caption: &'static str,
    pub(crate) id: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) types: &'static str,
    pub(crate) before: &'static str,
    pub(crate) created: &'static str,
    pub(crate) payload: &'static str,
    pub(crate) size: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) none_match: &'static str,
    pub(crate) none_yet: &'static str,
    pub(crate) search_on: &'static str,
    pub(crate) searched_some: &'static str,
    pub(crate) envelope: &'static str,
    pub(crate) laid_out: &'static str,
    pub(crate) raw: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) download: &'static str,
    pub(crate) trace: &'static str,
    pub(crate) trace_what: &'static str,
    pub(crate) trace_caption: &'static str,
    pub(crate) no_webhook: &'static str,
    more: (&'static str, &'static str),
    pub(crate) state: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) attempts: &'static str,
    pub(crate) next: &'static str,
    pub(crate) last_status: &'static str,
    pub(crate) actions: &'static str,
    pub(crate) attempts_link: &'static str,
    pub(crate) all_attempts: &'static str,
    pub(crate) deleted: &'static str,
    pub(crate) again: &'static str,
    pub(crate) again_what: &'static str,
    pub(crate) again_there: &'static str,
    pub(crate) cannot_disabled: &'static str,
    pub(crate) cannot_deleted: &'static str,
    pub(crate) cannot_gone: &'static str,
    pub(crate) disabled_meanwhile: &'static str,
    bytes: &'static str,
    pending: &'static str,
    retrying: &'static str,
    succeeded: &'static str,
    failed: &'static str,
    not_matched: &'static str,
    disabled: &'static str,
}

pub(super) const ENGLISH: EventTexts = EventTexts {
    find: "Find an event by its id",
    open: "Open",
    browse: "Browse events",
    caption: "Events, newest first",
    id: "Event id",
    event_type: "Type",
    types: "Event type",
    before: "Before (UTC)",
    created: "Created",
    payload: "Payload",
    size: "Size",
    unknown: "There is no event with this id. It may be older than events are kept, or belong elsewhere.",
    nothing: "No event has been published yet. Publish one with POST /api/v1/events and an API key; the API documentation shows how.",
    none_match: "No event matches. Widen the filters, or clear them to see everything.",
    none_yet: "None found so far.",
    search_on: "Search on",
    searched_some: "What is older has not been looked at yet.",
    envelope: "Envelope",
    laid_out: "Formatted",
    raw: "Raw",
    cut: "This is only its beginning.",
    download: "Download",
    trace: "What became of it",
    trace_what: "Each webhook, whether it wanted the event, and what came of that.",
    trace_caption: "Deliveries of this event",
    no_webhook: "There is no webhook, so the event went nowhere. It can still be read by polling.",
    more: ("And ", " more webhooks that are not shown."),
    state: "State",
    reason: "Why",
    attempts: "Attempts",
    next: "Next",
    last_status: "Last status",
    actions: "Actions",
    attempts_link: "Show attempts",
    all_attempts: "All attempts in the log",
    deleted: "deleted",
    again: "Deliver again",
    again_what: "Sends the event to this webhook now, as a new delivery with retries of its own.",
    again_there: "sends the event there now, as a new delivery with retries of its own.",
    cannot_disabled: "The webhook is disabled. Enable it first.",
    cannot_deleted: "The webhook is deleted.",
    cannot_gone: "The event is no longer kept.",
    disabled_meanwhile: "Nothing was sent: the webhook is disabled. Enable it first.",
    bytes: "bytes",
    pending: "Pending",
    retrying: "Retrying",
    succeeded: "Succeeded",
    failed: "Given up",
    not_matched: "Not wanted",
    disabled: "Disabled",
};

impl EventTexts {
    /// A state, and the class of its badge.
    pub(crate) fn state_of(&self, state: DeliveryState) -> (&'static str, &'static str) {
        match state {
            DeliveryState::Pending => (self.pending, ""),
            DeliveryState::Retrying => (self.retrying, "warn"),
            DeliveryState::Succeeded => (self.succeeded, "ok"),
            DeliveryState::Failed => (self.failed, "bad"),
            DeliveryState::NotMatched => (self.not_matched, ""),
            DeliveryState::Disabled => (self.disabled, "warn"),
        }
    }

    /// "And 12 more webhooks that are not shown."
    pub(crate) fn more_webhooks(&self, count: &str) -> String {
        let (and, more) = self.more;
        format!("{and}{count}{more}")
    }

    /// "1,234 bytes"
    pub(crate) fn size_of(&self, count: &str) -> String {
        format!("{count} {}", self.bytes)
    }
}
