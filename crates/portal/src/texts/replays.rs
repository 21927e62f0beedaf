//! What the pages about replays say.

use super::numbers::NumberTexts;

#[derive(Debug)]
pub(crate) struct ReplayTexts {
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    pub(crate) since: &'static str,
    pub(crate) until: &'static str,
    pub(crate) in_utc: &'static str,
    pub(crate) until_hint: &'static str,
    pub(crate) which: &'static str,
    pub(crate) only_failed: &'static str,
    pub(crate) only_failed_hint: &'static str,
    pub(crate) all: &'static str,
    pub(crate) all_hint: &'static str,
    pub(crate) count: &'static str,
    pub(crate) counted: &'static str,
    pub(crate) nothing: &'static str,
    pub(crate) disabled: &'static str,
    pub(crate) start: &'static str,
    pub(crate) started: &'static str,
    pub(crate) progress: &'static str,
    pub(crate) reload: &'static str,
    pub(crate) deleted: &'static str,
    pub(crate) stopped: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) ended_disabled: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) unknown_what: &'static str,
    pub(crate) audit: &'static str,
    pub(crate) to_log: &'static str,
    pub(crate) no_time: &'static str,
    pub(crate) until_before: &'static str,
    pub(crate) only_missing: &'static str,
    exactly_one: &'static str,
    exactly: (&'static str, &'static str),
    at_least: (&'static str, &'static str),
    so_far: (&'static str, &'static str),
    done_one: &'static str,
    done: (&'static str, &'static str),
}

pub(super) const ENGLISH: ReplayTexts = ReplayTexts {
    title: "Replay events",
    what: "Sends the events of a time that this webhook wants once more. You see how many there are before anything is sent.",
    since: "From",
    until: "To",
    in_utc: "UTC",
    until_hint: "Leave it empty for everything up to now.",
    which: "Which events",
    only_failed: "Only what did not arrive",
    only_failed_hint: "Failed deliveries, and events missed while the webhook was disabled or not there yet.",
    all: "All of them",
    all_hint: "What arrived is sent again, too; the receiver tells duplicates by webhook-id.",
    count: "Count them",
    counted: "Ready to replay",
    nothing: "There is nothing to send again in this time.",
    disabled: "The webhook is disabled, so nothing can be sent to it. Enable it first.",
    start: "Replay now",
    started: "Started",
    progress: "Deliveries asked for",
    reload: "Load again",
    deleted: "The webhook was deleted meanwhile, so the replay ended.",
    stopped: "The server is being stopped, so the replay ended before its time. Start it again for the rest: what is owed already is not doubled.",
    failed: "The replay broke off because the database could not be reached or something went wrong; the server's log says more. Start it again: what is owed already is not doubled.",
    ended_disabled: "The webhook was disabled meanwhile, so the replay ended and what it asked for was dropped.",
    unknown: "This replay is not known here",
    unknown_what: "It ended long ago, the server was started anew, or another server of the same database works on it. The audit log has a line for each replay that ended.",
    audit: "Audit log",
    to_log: "Watch the deliveries",
    no_time: "Give a date and time, like 2026-01-31T08:30.",
    until_before: "This must be later than the beginning.",
    only_missing: "Choose which events.",
    exactly_one: "1 event would be sent once more.",
    exactly: ("", " events would be sent once more."),
    at_least: ("More than ", " events would be sent once more."),
    so_far: ("", " deliveries asked for so far."),
    done_one: "Done: 1 event is being sent once more.",
    done: ("Done: ", " events are being sent once more."),
};

impl ReplayTexts {
    /// "1,234 events would be sent once more."
    pub(crate) fn exactly(&self, numbers: &NumberTexts, count: u64) -> String {
        if count == 1 {
            return self.exactly_one.to_owned();
        }
        let (before, after) = self.exactly;
        format!("{before}{}{after}", numbers.count(count))
    }

    /// "More than 10,000 events would be sent once more."
    pub(crate) fn at_least(&self, numbers: &NumberTexts, count: u64) -> String {
        let (before, after) = self.at_least;
        format!("{before}{}{after}", numbers.count(count))
    }

    /// "1,234 deliveries asked for so far."
    pub(crate) fn so_far(&self, numbers: &NumberTexts, count: u64) -> String {
        let (before, after) = self.so_far;
        format!("{before}{}{after}", numbers.count(count))
    }

    /// "Done: 1,234 events are being sent once more."
    pub(crate) fn done(&self, numbers: &NumberTexts, count: u64) -> String {
        if count == 1 {
            return self.done_one.to_owned();
        }
        let (before, after) = self.done;
        format!("{before}{}{after}", numbers.count(count))
    }
}
