//! What is said of an attempt: how it ended, why, and what to do.

/// What happened, and what to do.
type Told = (&'static str, &'static str);

#[derive(Debug)]
pub(crate) struct AttemptTexts {
    pub(crate) succeeded: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) no_answer: &'static str,
    pub(crate) timeout: Told,
    pub(crate) dns: Told,
    pub(crate) connect: Told,
    pub(crate) tls: Told,
    pub(crate) blocked_address: Told,
    pub(crate) protocol: Told,
    pub(crate) redirect: &'static str,
    /// From a status up to another, what to do; the first that fits counts.
    statuses: &'static [(u16, u16, &'static str)],
    other_status: &'static str,
    answered_in: (&'static str, &'static str, &'static str),
    answered: (&'static str, &'static str),
    redirected: (&'static str, &'static str),
}

pub(super) const ENGLISH: AttemptTexts = AttemptTexts {
    succeeded: "Succeeded",
    failed: "Failed",
    no_answer: "no answer",
    timeout: (
        "There was no full answer in the time allowed.",
        "Answer with a 2xx at once and do the work afterwards. If the endpoint is quick when you call it yourself, look for a proxy or firewall on the way that holds the request.",
    ),
    dns: (
        "The host's name did not resolve to an address.",
        "Check the webhook's URL for a typing mistake, and that the name has a public DNS record.",
    ),
    connect: (
        "No connection came about, or it broke before the answer.",
        "Check that the endpoint runs, that the URL has the right port, and that its firewall lets connections in.",
    ),
    tls: (
        "No secure connection came about.",
        "Check the endpoint's certificate: whether it has expired, is for this host's name, and comes with its intermediate certificates; TLS 1.2 or later is needed.",
    ),
    blocked_address: (
        "The host's name leads to an address that deliveries may not go to.",
        "Private and reserved addresses are refused. Give the endpoint a public address, or ask the platform's operators to allow this one.",
    ),
    protocol: (
        "What came back was no HTTP answer, or one with more than 64 KiB of header fields.",
        "Check that the URL's scheme and port belong to a web server, and what a proxy in front of it adds.",
    ),
    redirect: "Redirects are never followed. Set the webhook's URL to where it leads, often the same with https or without a slash at its end.",
    statuses: &[
        (
            401,
            403,
            "The endpoint did not let the request in. Check that it verifies the signature with this webhook's secret, over the body's bytes as they come, and that it asks for no login.",
        ),
        (
            404,
            404,
            "The endpoint knows no such path. Check the webhook's URL and the receiver's routes.",
        ),
        (
            405,
            405,
            "The endpoint takes no POST at this URL. Check the path and the receiver's routes.",
        ),
        (
            408,
            408,
            "The endpoint gave up waiting for the request. Look at what a proxy in front of it allows.",
        ),
        (
            410,
            410,
            "The endpoint said that it is gone for good, so the webhook was disabled. Enable it when the endpoint is back.",
        ),
        (
            413,
            413,
            "The event is larger than the endpoint takes. Raise the limit of the receiver or of the proxy in front of it.",
        ),
        (
            415,
            415,
            "The endpoint does not take application/json. Let the receiver read the body as it comes.",
        ),
        (
            429,
            429,
            "The endpoint gets more than it can take. Set a delivery rate for the webhook below what it allows.",
        ),
        (
            502,
            504,
            "The endpoint's proxy could not reach the program behind it, or that is overloaded. Check that it runs; deliveries are retried meanwhile.",
        ),
        (
            500,
            599,
            "The receiver broke while it handled the event. Look into its log at this time, mend it, and deliver the event once more.",
        ),
        (
            400,
            499,
            "The receiver did not accept the event. Its answer may say why.",
        ),
    ],
    other_status: "Only a 2xx counts as received. Let the receiver answer 200 or 204.",
    answered_in: (
        "The endpoint took the event: it answered ",
        " within ",
        " ms.",
    ),
    answered: ("The endpoint answered ", "."),
    redirected: ("The endpoint answered with a redirect, ", ", to "),
};

impl AttemptTexts {
    /// "The endpoint took the event: it answered 204 within 42 ms."
    pub(crate) fn answered_in(&self, status: u16, elapsed_ms: u32) -> String {
        let (it_answered, within, ms) = self.answered_in;
        format!("{it_answered}{status}{within}{elapsed_ms}{ms}")
    }

    /// "The endpoint answered 404."
    pub(crate) fn answered(&self, status: u16) -> String {
        let (it_answered, end) = self.answered;
        format!("{it_answered}{status}{end}")
    }

    /// "The endpoint answered with a redirect, 301, to …."
    pub(crate) fn redirected(&self, status: u16, target: Option<String>) -> String {
        let ((it_answered, to), (_, end)) = (self.redirected, self.answered);
        match target {
            Some(target) => format!("{it_answered}{status}{to}{target}{end}"),
            None => format!("{it_answered}{status}{end}"),
        }
    }

    /// What to do about a status that is no success.
    pub(crate) fn advice_on_status(&self, status: u16) -> &'static str {
        let mut known = self.statuses.iter();
        let known = known.find(|(from, to, _)| (*from..=*to).contains(&status));
        known.map_or(self.other_status, |(_, _, advice)| advice)
    }
}
