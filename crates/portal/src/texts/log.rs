//! What the delivery log says.

#[derive(Debug)]
pub(crate) struct LogTexts {
    pub(crate) filters: &'static str,
    pub(crate) filters_short: &'static str,
    pub(crate) caption: &'static str,
    pub(crate) any: &'static str,
    pub(crate) apply: &'static str,
    pub(crate) clear: &'static str,
    pub(crate) time: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) status: &'static str,
    pub(crate) event: &'static str,
    pub(crate) event_id: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) webhook: &'static str,
    pub(crate) attempt: &'static str,
    pub(crate) duration: &'static str,
    pub(crate) since: &'static str,
    pub(crate) until: &'static str,
    pub(crate) retry_at: &'static str,
    pub(crate) must_be_outcome: &'static str,
    pub(crate) must_be_status: &'static str,
    pub(crate) must_be_time: &'static str,
    pub(crate) must_be_later: &'static str,
    fewer_types: (&'static str, &'static str),
    pub(crate) nothing: &'static str,
    pub(crate) no_webhook: &'static str,
    pub(crate) new_webhook: &'static str,
    pub(crate) none_match: &'static str,
    pub(crate) none_yet: &'static str,
    pub(crate) searched_to: &'static str,
    pub(crate) go_on_below: &'static str,
    pub(crate) search_on: &'static str,
    pub(crate) pages: &'static str,
    pub(crate) live_on: &'static str,
    pub(crate) live_paused: &'static str,
    pub(crate) live_ended: &'static str,
    pub(crate) pause: &'static str,
    pub(crate) resume: &'static str,
    pub(crate) new_one: &'static str,
    pub(crate) new_many: &'static str,
    pub(crate) left_out: &'static str,
    pub(crate) facts: &'static str,
    pub(crate) url: &'static str,
    pub(crate) to_webhook: &'static str,
    pub(crate) webhook_deleted: &'static str,
    pub(crate) its_log: &'static str,
    pub(crate) attempt_id: &'static str,
    pub(crate) timeline: &'static str,
    pub(crate) more_attempts: &'static str,
    pub(crate) next_attempt: &'static str,
    pub(crate) due_now: &'static str,
    pub(crate) parked: &'static str,
    pub(crate) exchange: &'static str,
    pub(crate) request: &'static str,
    pub(crate) response: &'static str,
    pub(crate) headers: &'static str,
    pub(crate) body: &'static str,
    pub(crate) raw: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) cut_here: &'static str,
    pub(crate) headers_cut: &'static str,
    pub(crate) download: &'static str,
    pub(crate) curl: &'static str,
    pub(crate) curl_hint: &'static str,
    pub(crate) curl_file: &'static str,
    pub(crate) copy_curl: &'static str,
    pub(crate) unsigned: &'static str,
    pub(crate) event_gone: &'static str,
    pub(crate) body_truncated: &'static str,
    pub(crate) no_body: &'static str,
    pub(crate) not_answered: &'static str,
    title: &'static str,
    again: &'static str,
    step: &'static str,
    ok: &'static str,
}

pub(super) const ENGLISH: LogTexts = LogTexts {
    filters: "Filter the delivery log",
    filters_short: "Filters",
    caption: "Attempts to deliver, newest first",
    any: "All",
    apply: "Apply",
    clear: "Clear",
    time: "Time",
    outcome: "Outcome",
    status: "Status",
    event: "Event",
    event_id: "Event id",
    event_type: "Event type",
    webhook: "Webhook",
    attempt: "Attempt",
    duration: "Duration",
    since: "From (UTC)",
    until: "Until (UTC)",
    retry_at: "retry at",
    must_be_outcome: "must be succeeded or failed",
    must_be_status: "must be a status like 404, a class like 5xx, or none where there was no answer",
    must_be_time: "must be a date and time in UTC like 2026-11-26T10:15",
    must_be_later: "must be later than the time from which on you look",
    fewer_types: ("must be at most ", " types"),
    nothing: "Nothing has been delivered yet. As soon as an event is published that a webhook wants, each attempt shows up here.",
    no_webhook: "Nothing has been delivered, since there is no webhook yet. Make one, and each attempt to deliver shows up here.",
    new_webhook: "Add webhook",
    none_match: "No attempt matches these filters. Widen them, or clear them to see everything.",
    none_yet: "None found so far.",
    searched_to: "Searched back to",
    go_on_below: "What is older has not been looked at yet.",
    search_on: "Search on",
    pages: "Pages",
    live_on: "New attempts appear by themselves.",
    live_paused: "Paused. New attempts do not appear until you go on.",
    live_ended: "New attempts no longer appear by themselves. Load the page again.",
    pause: "Pause",
    resume: "Go on",
    new_one: "1 new attempt",
    new_many: "{} new attempts",
    left_out: "Attempts come faster than they can be read: some are left out here. Filter, or load the page again.",
    facts: "What happened",
    url: "Sent to",
    to_webhook: "Show the webhook",
    webhook_deleted: "Deleted",
    its_log: "its attempts",
    attempt_id: "Attempt id",
    timeline: "All attempts of this delivery",
    more_attempts: "There are more attempts: see all in the log",
    next_attempt: "Next attempt at",
    due_now: "Next attempt is due now.",
    parked: "The endpoint keeps failing and is left alone for a while. Next attempt not before",
    exchange: "Request and response",
    request: "Request",
    response: "Response",
    headers: "Headers",
    body: "Body",
    raw: "Raw",
    cut: "This is only its beginning.",
    cut_here: "This is only its beginning; the raw text has all that is kept.",
    headers_cut: "These are only the first ones: there were many or long ones.",
    download: "Download the whole body",
    curl: "As a curl command",
    curl_hint: "Sends the same request once more from your machine. Receivers that check the signature's age refuse it after some minutes.",
    curl_file: "The body is large, so the command reads it from a file. Download it first:",
    copy_curl: "Copy as curl",
    unsigned: "This attempt failed before it was signed, so the command has no signature.",
    event_gone: "The event is older than events are kept, so its body is no longer here.",
    body_truncated: "The log keeps the first 4,000 characters of a response.",
    no_body: "The response had no body.",
    not_answered: "There was no response.",
    title: "Attempt",
    again: "delivered again",
    step: "Attempt",
    ok: "succeeded with",
};

impl LogTexts {
    /// "must be at most 20 types"
    pub(crate) fn must_be_fewer_types(&self, max: usize) -> String {
        let (at_most, types) = self.fewer_types;
        format!("{at_most}{max}{types}")
    }

    /// "Attempt 3"
    pub(crate) fn attempt_title(&self, number: u32) -> String {
        format!("{} {number}", self.title)
    }

    /// An attempt's number within its delivery, and that it is a later delivery of the event.
    pub(crate) fn number_of(&self, number: u32, round: u32) -> String {
        match round {
            0 => number.to_string(),
            _ => format!("{number} ({})", self.again),
        }
    }

    /// "Attempt 3: 404", "Attempt 1 (delivered again): succeeded with 200"
    pub(crate) fn step(&self, number: u32, round: u32, succeeded: bool, status: &str) -> String {
        let number = self.number_of(number, round);
        if succeeded {
            format!("{} {number}: {} {status}", self.step, self.ok)
        } else {
            format!("{} {number}: {status}", self.step)
        }
    }
}
