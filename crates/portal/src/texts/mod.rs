//! What the portal says, in one place: a language is one value of [`Texts`]. Each part of the
//! portal has a file of its own; sentences with values in them are functions.

mod account;
mod attempts;
mod audit;
mod charts;
mod entry;
mod event_types;
mod events;
mod every_page;
mod faults;
mod keys;
mod log;
mod numbers;
mod overview;
mod platform;
mod replays;
mod users;
mod webhooks;

use account::AccountTexts;
use attempts::AttemptTexts;
use audit::AuditTexts;
use charts::ChartTexts;
use entry::EntryTexts;
use event_types::EventTypeTexts;
use events::EventTexts;
use every_page::EveryPageTexts;
use faults::FaultTexts;
use keys::KeyTexts;
pub(crate) use log::LogTexts;
use numbers::NumberTexts;
pub(crate) use numbers::rounded;
use overview::OverviewTexts;
use platform::PlatformTexts;
use replays::ReplayTexts;
use users::UserTexts;
use webhooks::WebhookTexts;

/// Everything that the portal says, in one language.
#[derive(Debug)]
pub(crate) struct Texts {
    /// The language, as BCP 47 names it.
    pub(crate) language: &'static str,
    pub(crate) numbers: NumberTexts,
    pub(crate) charts: ChartTexts,
    pub(crate) common: EveryPageTexts,
    pub(crate) attempts: AttemptTexts,
    pub(crate) log: LogTexts,
    pub(crate) event_types: EventTypeTexts,
    pub(crate) events: EventTexts,
    pub(crate) entry: EntryTexts,
    pub(crate) faults: FaultTexts,
    pub(crate) keys: KeyTexts,
    pub(crate) overview: OverviewTexts,
    pub(crate) platform: PlatformTexts,
    pub(crate) account: AccountTexts,
    pub(crate) audit: AuditTexts,
    pub(crate) replays: ReplayTexts,
    pub(crate) users: UserTexts,
    pub(crate) webhooks: WebhookTexts,
}

static ENGLISH: Texts = Texts {
    language: "en",
    numbers: numbers::ENGLISH,
    charts: charts::ENGLISH,
    common: every_page::ENGLISH,
    attempts: attempts::ENGLISH,
    log: log::ENGLISH,
    event_types: event_types::ENGLISH,
    events: events::ENGLISH,
    entry: entry::ENGLISH,
    faults: faults::ENGLISH,
    keys: keys::ENGLISH,
    overview: overview::ENGLISH,
    platform: platform::ENGLISH,
    account: account::ENGLISH,
    audit: audit::ENGLISH,
    replays: replays::ENGLISH,
    users: users::ENGLISH,
    webhooks: webhooks::ENGLISH,
};

/// The texts of the language that there is.
pub(crate) fn default() -> &'static Texts {
    &ENGLISH
}

impl Texts {
    /// What was just done, by the word that the query's `done` has for it.
    pub(crate) fn notice(&self, done: &str) -> Option<&'static str> {
        let notices = self.common.notices.iter();
        notices
            .copied()
            .find_map(|(word, sentence)| (word == done).then_some(sentence))
    }
}
