//! What the page about the whole platform says.

#[derive(Debug)]
pub(crate) struct PlatformTexts {
    pub(crate) title: &'static str,
    pub(crate) company_id: &'static str,
    pub(crate) company_hint: &'static str,
    pub(crate) companies: &'static str,
    pub(crate) companies_what: &'static str,
    pub(crate) no_companies: &'static str,
    pub(crate) no_companies_advice: &'static str,
    pub(crate) attempts: &'static str,
    pub(crate) success: &'static str,
    pub(crate) latency: &'static str,
    pub(crate) published: &'static str,
    pub(crate) state: &'static str,
    pub(crate) version: &'static str,
    pub(crate) database: &'static str,
    pub(crate) database_fine: &'static str,
    pub(crate) database_stuck: &'static str,
    pub(crate) more: &'static str,
    pub(crate) metrics: &'static str,
}

pub(super) const ENGLISH: PlatformTexts = PlatformTexts {
    title: "Platform",
    company_id: "Company id",
    company_hint: "Any id will do: a company needs no registration.",
    companies: "Busiest companies",
    companies_what: "By attempts, in whole hours.",
    no_companies: "No company had a delivery in this time.",
    no_companies_advice: "Open one by its id above, or publish an event for it.",
    attempts: "Attempts",
    success: "Successful",
    latency: "95 % within",
    published: "Events",
    state: "This node",
    version: "Version",
    database: "Database",
    database_fine: "can be written to",
    database_stuck: "cannot be written to right now; events are refused until it can",
    more: "More about it",
    metrics: "for Prometheus at /metrics",
};
