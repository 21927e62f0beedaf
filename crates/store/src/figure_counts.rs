//! Figures that were counted and not yet written down: what a store adds to what is in its table,
//! and what it writes there.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use tidings_domain::{
    company::CompanyId,
    figures::{Figures, Resolution},
    time::UtcMillis,
};

use crate::Seq;

/// Whose figures to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountedScope {
    /// All companies' together.
    Platform,
    /// One company's, all of its subscriptions together.
    Company(CompanyId),
    /// One subscription's.
    Subscription(Seq),
}

/// Whose figures a stretch in memory is: a company's and one of its subscriptions', or what the
/// company published.
type CountKey = (CompanyId, Option<Seq>, i64);

/// What was counted and not yet written down: by company, subscription and minute.
#[derive(Debug, Default)]
pub struct FigureCounts(HashMap<CountKey, Figures>);

/// One row to add to what is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureSum {
    /// Which stretches.
    pub resolution: Resolution,
    /// Where the stretch begins.
    pub start: UtcMillis,
    /// Whose; none for all companies together.
    pub company: Option<CompanyId>,
    /// Which subscription; none for all of them together.
    pub subscription: Option<Seq>,
    /// What happened.
    pub figures: Figures,
}

impl FigureCounts {
    /// Counts events that a company published.
    pub fn count_published(&mut self, company: &CompanyId, events: u64, now: UtcMillis) {
        self.stretch(company, None, now).published += events;
    }

    /// Counts an attempt.
    pub fn count_attempt(
        &mut self,
        company: &CompanyId,
        subscription: Seq,
        attempted: UtcMillis,
        succeeded: bool,
        elapsed_ms: u32,
    ) {
        self.stretch(company, Some(subscription), attempted)
            .count_attempt(succeeded, elapsed_ms);
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many stretches it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds what others counted, such as a writing that failed.
    pub fn merge(&mut self, other: Self) {
        for (key, figures) in other.0 {
            self.0.entry(key).or_default().add(&figures);
        }
    }

    /// Adds the stretches of a scope that begin from `since` up to `until`, exclusive, to what is
    /// known of them from elsewhere, by the millisecond in which they begin.
    pub fn add_to(
        &self,
        stretches: &mut BTreeMap<i64, Figures>,
        scope: &CountedScope,
        resolution: Resolution,
        since: UtcMillis,
        until: UtcMillis,
    ) {
        for ((company, subscription, minute), figures) in &self.0 {
            let start = resolution.start_of(UtcMillis::from_millis(*minute));
            let theirs = match scope {
                CountedScope::Platform => true,
                CountedScope::Company(wanted) => wanted == company,
                CountedScope::Subscription(wanted) => Some(*wanted) == *subscription,
            };
            if theirs && since <= start && start < until {
                let stretch = stretches.entry(start.as_millis()).or_default();
                stretch.add(figures);
            }
        }
    }

    /// Adds up, for each company, the hours that begin from `since` up to `until`, exclusive.
    pub fn add_companies_to(
        &self,
        sums: &mut HashMap<CompanyId, Figures>,
        since: UtcMillis,
        until: UtcMillis,
    ) {
        for ((company, _, minute), figures) in &self.0 {
            let start = Resolution::Hour.start_of(UtcMillis::from_millis(*minute));
            if since <= start && start < until {
                sums.entry(company.clone()).or_default().add(figures);
            }
        }
    }

    /// Whose figures these are; a company may come more than once.
    pub fn companies(&self) -> impl Iterator<Item = &CompanyId> {
        self.0.keys().map(|(company, _, _)| company)
    }

    /// What is to be added to the rows of every resolution and scope, in the order of their keys,
    /// so that nodes that write at the same time do not wait for each other in a circle.
    #[must_use]
    pub fn sums(&self) -> Vec<FigureSum> {
        let mut sums: HashMap<_, Figures> = HashMap::new();
        for ((company, subscription, minute), figures) in &self.0 {
            let minute = UtcMillis::from_millis(*minute);
            for resolution in Resolution::ALL {
                let start = resolution.start_of(minute).as_millis();
                let mut add = |seq: Option<Seq>, company: Option<&CompanyId>| {
                    let key = (resolution, seq, company.cloned(), start);
                    sums.entry(key).or_default().add(figures);
                };
                add(None, None);
                add(None, Some(company));
                if subscription.is_some() {
                    add(*subscription, Some(company));
                }
            }
        }
        let mut rows: Vec<FigureSum> = sums
            .into_iter()
            .map(
                |((resolution, subscription, company, start), figures)| FigureSum {
                    resolution,
                    start: UtcMillis::from_millis(start),
                    company,
                    subscription,
                    figures,
                },
            )
            .collect();
        rows.sort_by(|a, b| {
            let key = |row: &FigureSum| {
                let (resolution, start) = (row.resolution, row.start);
                (resolution, row.subscription, row.company.clone(), start)
            };
            key(a).cmp(&key(b))
        });
        rows
    }

    fn stretch(
        &mut self,
        company: &CompanyId,
        subscription: Option<Seq>,
        time: UtcMillis,
    ) -> &mut Figures {
        let minute = Resolution::Minute.start_of(time).as_millis();
        let key = (company.clone(), subscription, minute);
        self.0.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FigureRow;

    #[test]
    fn an_attempt_is_counted_for_everybody_whom_it_concerns() {
        let company = CompanyId::parse("acme").unwrap();
        let time = UtcMillis::from_millis(7_384_000);
        let mut counts = FigureCounts::default();
        counts.count_attempt(&company, 4, time, true, 12);
        counts.count_attempt(&company, 5, time, false, 12);
        counts.count_published(&company, 3, time);
        let sums = counts.sums();
        let of = |resolution, company: Option<&CompanyId>, subscription| {
            let mut rows = sums.iter().filter(|row| {
                row.resolution == resolution
                    && row.company.as_ref() == company
                    && row.subscription == subscription
            });
            let row = rows.next().unwrap();
            assert!(rows.next().is_none());
            (
                row.figures.published,
                row.figures.succeeded,
                row.figures.failed,
            )
        };
        for resolution in Resolution::ALL {
            assert_eq!(of(resolution, None, None), (3, 1, 1));
            assert_eq!(of(resolution, Some(&company), None), (3, 1, 1));
            assert_eq!(of(resolution, Some(&company), Some(4)), (0, 1, 0));
            assert_eq!(of(resolution, Some(&company), Some(5)), (0, 0, 1));
        }
        assert_eq!(sums.len(), 12);
        for (scope, expected) in [
            (CountedScope::Platform, (3, 1, 1)),
            (CountedScope::Company(company.clone()), (3, 1, 1)),
            (CountedScope::Subscription(4), (0, 1, 0)),
            (CountedScope::Subscription(6), (0, 0, 0)),
        ] {
            let until = UtcMillis::from_millis(i64::MAX);
            let mut found = BTreeMap::new();
            counts.add_to(&mut found, &scope, Resolution::Hour, time, until);
            assert!(found.is_empty(), "the hour began before that time");
            let since = Resolution::Hour.start_of(time);
            counts.add_to(&mut found, &scope, Resolution::Hour, since, until);
            let rows = FigureRow::in_order(found);
            let sum = rows
                .iter()
                .fold((0, 0, 0), |sum, FigureRow { figures, .. }| {
                    let (published, succeeded, failed) = sum;
                    (
                        published + figures.published,
                        succeeded + figures.succeeded,
                        failed + figures.failed,
                    )
                });
            assert_eq!(sum, expected, "{scope:?}");
        }
        let mut twice = FigureCounts::default();
        twice.merge(counts);
        assert_eq!(twice.sums(), sums);
    }
}
