//! What the pages about webhooks say.

use std::{borrow::Borrow, fmt::Display};

use tidings_domain::subscription::ManagedBy;

use super::numbers::NumberTexts;

/// A badge, and what it means.
type Badge = (&'static str, &'static str);

#[derive(Debug)]
pub(crate) struct WebhookTexts {
    pub(crate) title: &'static str,
    pub(crate) add: &'static str,
    pub(crate) none_yet: &'static str,
    pub(crate) none_yet_why: &'static str,
    pub(crate) none_found: &'static str,
    pub(crate) search: &'static str,
    pub(crate) search_button: &'static str,
    pub(crate) search_end: &'static str,
    pub(crate) search_cut: &'static str,
    pub(crate) url: &'static str,
    pub(crate) types: &'static str,
    pub(crate) state: &'static str,
    pub(crate) last_delivery: &'static str,
    pub(crate) never: &'static str,
    pub(crate) last_day: &'static str,
    attempts: (&'static str, &'static str),
    pub(crate) succeeded: &'static str,
    pub(crate) within: &'static str,
    pub(crate) newest: &'static str,
    more: &'static str,

    pub(crate) enabled: Badge,
    pub(crate) failing: Badge,
    pub(crate) breaker_open: Badge,
    pub(crate) breaker_half_open: Badge,
    pub(crate) disabled: Badge,
    pub(crate) disabled_gone: Badge,
    pub(crate) disabled_failing: Badge,
    pub(crate) failing_since: &'static str,
    pub(crate) tried_again: &'static str,
    pub(crate) disabled_at: &'static str,

    pub(crate) id: &'static str,
    pub(crate) description: &'static str,
    pub(crate) managed_by: &'static str,
    pub(crate) max_per_second: &'static str,
    pub(crate) unlimited: &'static str,
    pub(crate) created: &'static str,
    pub(crate) updated: &'static str,
    pub(crate) facts: &'static str,
    pub(crate) what_goes_on: &'static str,
    pub(crate) last_attempts: &'static str,
    pub(crate) whole_log: &'static str,
    pub(crate) no_attempts: &'static str,
    pub(crate) time: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) event_type: &'static str,
    pub(crate) status: &'static str,
    pub(crate) duration: &'static str,

    pub(crate) edit: &'static str,
    pub(crate) edit_title: &'static str,
    pub(crate) enable: &'static str,
    pub(crate) disable: &'static str,
    pub(crate) disable_ask: &'static str,
    pub(crate) disable_what: &'static str,
    pub(crate) delete: &'static str,
    pub(crate) delete_ask: &'static str,
    pub(crate) delete_what: &'static str,

    pub(crate) new_title: &'static str,
    pub(crate) url_hint: &'static str,
    pub(crate) checking: &'static str,
    pub(crate) url_fine: &'static str,
    pub(crate) url_not_checked: &'static str,
    pub(crate) types_hint: &'static str,
    pub(crate) all_types: &'static str,
    pub(crate) find_type: &'static str,
    pub(crate) more_types: &'static str,
    pub(crate) more_types_hint: &'static str,
    pub(crate) description_hint: &'static str,
    pub(crate) max_per_second_hint: &'static str,
    pub(crate) own_secret: &'static str,
    pub(crate) own_secret_hint: &'static str,
    pub(crate) enabled_box: &'static str,
    pub(crate) optional: &'static str,
    pub(crate) create: &'static str,
    pub(crate) conflict: &'static str,
    pub(crate) there_now: &'static str,

    pub(crate) created_title: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) secret_once: &'static str,
    pub(crate) next_steps: &'static str,
    pub(crate) verify: &'static str,
    pub(crate) verify_how: &'static str,
    pub(crate) verify_raw: &'static str,
    pub(crate) languages: &'static str,
    pub(crate) to_webhook: &'static str,

    pub(crate) test: &'static str,
    pub(crate) test_what: &'static str,
    pub(crate) test_send: &'static str,
    pub(crate) test_again: &'static str,
    pub(crate) test_result: &'static str,
    pub(crate) test_sent_to: &'static str,
    pub(crate) payload: &'static str,
    pub(crate) payload_hint: &'static str,
    pub(crate) response_body: &'static str,
    pub(crate) response_empty: &'static str,
    pub(crate) response_cut: &'static str,
    pub(crate) sending: &'static str,
    pub(crate) test_failed: &'static str,

    pub(crate) rotate: &'static str,
    pub(crate) rotate_ask: &'static str,
    pub(crate) rotate_what: &'static str,
    pub(crate) overlap: &'static str,
    pub(crate) overlaps: &'static [(i64, &'static str)],
    pub(crate) rotated_title: &'static str,
    pub(crate) rotated_old_ends: &'static str,
    pub(crate) rotated_old_ended: &'static str,

    managers: [&'static str; 5],
    managed: (&'static str, &'static str),
    no_pattern: (&'static str, &'static str),
    how_many_types: (&'static str, &'static str),
    left_out: (&'static str, &'static str),
    about_secret: &'static str,
    wrong_type: &'static str,
    wrong_payload: &'static str,
}

pub(super) const ENGLISH: WebhookTexts = WebhookTexts {
    title: "Webhooks",
    add: "Add webhook",
    none_yet: "No webhooks yet",
    none_yet_why: "A webhook sends your events to a URL of yours, as they happen: signed, retried for a day, every attempt in the log.",
    none_found: "No webhook's URL holds this text.",
    search: "Search by URL",
    search_button: "Search",
    search_end: "Only the newest 2,000 webhooks were searched.",
    search_cut: "More webhooks hold this text: these are the newest 25 of them. Write more of the URL to find others.",
    url: "URL",
    types: "Event types",
    state: "State",
    last_delivery: "Last attempt",
    never: "none yet",
    last_day: "Last 24 hours",
    attempts: ("attempt", "attempts"),
    succeeded: "succeeded",
    within: "95 % within",
    newest: "Newest",
    more: "more",

    enabled: ("Enabled", "Events are sent to it as they happen."),
    failing: (
        "Failing",
        "It does nothing but fail at present. Each delivery is retried for 24 hours; when failures go on, it is left alone for a while.",
    ),
    breaker_open: (
        "Breaker open",
        "It kept failing, so its deliveries wait; they lose no retry by that. When the time is over, one is sent to see whether it works again: a success lets all others through, a failure makes the pause longer, up to 10 minutes.",
    ),
    breaker_half_open: (
        "Breaker half-open",
        "It kept failing and was left alone for a while. The next delivery shows whether it works again: a success lets all others through, a failure makes the next pause longer.",
    ),
    disabled: (
        "Disabled",
        "Somebody disabled it. Nothing is sent to it, and events of this time are not kept for it; after enabling it, Replay brings what it missed.",
    ),
    disabled_gone: (
        "Disabled: gone",
        "The endpoint answered 410 Gone, which means for good, so the server disabled it. When the endpoint is back, enable it; Replay brings what it missed.",
    ),
    disabled_failing: (
        "Disabled: failing",
        "It did nothing but fail for five days, so the server disabled it. Mend the endpoint, send a test, enable it; Replay brings what it missed.",
    ),
    failing_since: "Failing since",
    tried_again: "Tried again",
    disabled_at: "Disabled, if nothing succeeds, at",

    id: "Id",
    description: "Description",
    managed_by: "Managed by",
    max_per_second: "Deliveries per second",
    unlimited: "as many as it takes",
    created: "Created",
    updated: "Changed",
    facts: "Settings",
    what_goes_on: "State",
    last_attempts: "Last attempts",
    whole_log: "All in the delivery log",
    no_attempts: "No event has been delivered to it yet. Publish one of its types, or send a test; tests are not logged.",
    time: "Time",
    outcome: "Outcome",
    event_type: "Event type",
    status: "Status",
    duration: "Duration",

    edit: "Edit",
    edit_title: "Edit webhook",
    enable: "Enable",
    disable: "Disable",
    disable_ask: "Disable…",
    disable_what: "Nothing more is sent to it, and what it is still owed is dropped. You can enable it again and replay what it missed.",
    delete: "Delete",
    delete_ask: "Delete…",
    delete_what: "The webhook and its secret are gone for good, and what it is still owed is dropped. Its attempts stay in the log.",

    new_title: "Add webhook",
    url_hint: "Where events are sent to, by POST.",
    checking: "Checking…",
    url_fine: "Events can be sent there.",
    url_not_checked: "It could not be checked right now; it is when you save.",
    types_hint: "What is sent to it. Tick types and wildcards that are in the catalog or were seen, or write others below.",
    all_types: "Everything (*)",
    find_type: "Find a type",
    more_types: "Other types",
    more_types_hint: "Types like client.created and wildcards like client.*, apart by spaces or commas. They may be such as have not happened yet.",
    description_hint: "A note for your team, at most 1,000 characters.",
    max_per_second_hint: "1 to 10,000, never exceeded. Leave it empty for as many as it takes.",
    own_secret: "Own secret",
    own_secret_hint: "One is made for you if you leave this empty. Otherwise whsec_ and the base64 of 24 to 64 bytes, or 24 to 128 printable ASCII characters. It is not shown here again, so type it anew where the form comes back.",
    enabled_box: "Enabled: events are sent to it",
    optional: "optional",
    create: "Add webhook",
    conflict: "Somebody changed this webhook while you edited it, so nothing was saved. What you typed is still here, and what is there now stands below each field that differs. Save again to replace it.",
    there_now: "There now:",

    created_title: "Webhook added",
    secret: "Signing secret",
    secret_once: "Copy it now and keep it where your receiver finds it: it is not shown again. If it gets lost, rotate it.",
    next_steps: "Try it",
    verify: "Verify the signature",
    verify_how: "Every delivery is signed as Standard Webhooks 1.0.0 says. Verify the body's bytes as they come, with a stock library:",
    verify_raw: "This secret is your own text and not base64, so the library is told to take it as it is.",
    languages: "Languages",
    to_webhook: "To the webhook",

    test: "Send a test",
    test_what: "One signed event is sent now, even while the webhook is disabled. It is in no list, and its metadata says that it is a test.",
    test_send: "Send test",
    test_again: "Send another",
    test_result: "What came of the test",
    test_sent_to: "Sent to",
    payload: "Payload",
    payload_hint: "A JSON object. If you leave this empty, the catalog's sample for the event type is sent, or a short message.",
    response_body: "Response body",
    response_empty: "The response has no body.",
    response_cut: "This is the beginning of the body.",
    sending: "Sending…",
    test_failed: "The test could not be sent. Load the page again and repeat it.",

    rotate: "Rotate secret",
    rotate_ask: "Rotate secret…",
    rotate_what: "A new secret signs from now on. For as long as you choose, deliveries carry a signature of the old one, too, so that you can change your receiver without losing one.",
    overlap: "The old secret ends",
    overlaps: &[
        (0, "at once"),
        (1, "in an hour"),
        (24, "in 24 hours"),
        (72, "in 3 days"),
        (168, "in 7 days"),
    ],
    rotated_title: "Secret rotated",
    rotated_old_ends: "Deliveries are signed with the old secret, too, until",
    rotated_old_ended: "The old secret signs nothing more.",

    managers: ["the API", "the portal", "Zapier", "n8n", "Make"],
    managed: (
        "This webhook is managed by ",
        ". Its settings and its secret are changed there, so that both know the same. Here it can be disabled, enabled, tested, replayed and deleted.",
    ),
    no_pattern: (
        "Not an event type or wildcard: ",
        ". Write types like client.created, and wildcards like client.* or *.",
    ),
    how_many_types: ("Choose 1 to ", " event types."),
    left_out: ("", " more are not listed; write them below."),
    about_secret: "The secret: ",
    wrong_type: "Event type",
    wrong_payload: "The payload",
};

impl WebhookTexts {
    /// Who manages a webhook.
    pub(crate) fn manager(&self, manager: ManagedBy) -> &'static str {
        match manager {
            ManagedBy::Api => self.managers[0],
            ManagedBy::Portal => self.managers[1],
            ManagedBy::Zapier => self.managers[2],
            ManagedBy::N8n => self.managers[3],
            ManagedBy::Make => self.managers[4],
        }
    }

    /// "This webhook is managed by Zapier. Its settings and its secret are changed there…"
    pub(crate) fn managed(&self, manager: ManagedBy) -> String {
        let (before, after) = self.managed;
        format!("{before}{}{after}", self.manager(manager))
    }

    /// "1,234 attempts".
    pub(crate) fn attempts(&self, numbers: &NumberTexts, count: impl Borrow<u64>) -> String {
        let count = *count.borrow();
        let (one, many) = self.attempts;
        let word = if count == 1 { one } else { many };
        format!("{} {word}", numbers.count(count))
    }

    /// "+4 more".
    pub(crate) fn and_more(&self, count: impl Borrow<usize>) -> String {
        format!("+{} {}", count.borrow(), self.more)
    }

    /// What was typed and is no pattern.
    pub(crate) fn no_pattern(&self, typed: &str) -> String {
        let (before, after) = self.no_pattern;
        format!("{before}{typed}{after}")
    }

    /// "Choose 1 to 100 event types."
    pub(crate) fn how_many_types(&self, max: usize) -> String {
        let (before, after) = self.how_many_types;
        format!("{before}{max}{after}")
    }

    /// "12 more are not listed; write them below."
    pub(crate) fn left_out(&self, count: impl Borrow<usize>) -> String {
        let (before, after) = self.left_out;
        format!("{before}{}{after}", count.borrow())
    }

    /// Why deliveries may not go to a URL, as a sentence.
    pub(crate) fn refused_target(&self, reason: &str) -> String {
        format!("{}: {reason}.", self.url)
    }

    /// The rule for secrets that one breaks.
    pub(crate) fn about_secret(&self, rule: &dyn Display) -> String {
        format!("{}{rule}.", self.about_secret)
    }

    /// The rule for event types that one breaks.
    pub(crate) fn wrong_type(&self, rule: &dyn Display) -> String {
        format!("{} {rule}.", self.wrong_type)
    }

    /// The rule for payloads that one breaks.
    pub(crate) fn wrong_payload(&self, rule: &dyn Display) -> String {
        format!("{} {rule}.", self.wrong_payload)
    }
}
