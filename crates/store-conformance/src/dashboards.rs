//! What people look at beside figures: what waits for a company, which companies and event types
//! there are, and where in the log a time was.

use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, Scope},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::{NewApiKey, Retention};

use crate::{
    Harness,
    scenario::{BY, DAY_MS, EVERYTHING, SECOND_MS, Scenario, WORKS, acme, company, event_type_of},
};

const HOUR_MS: i64 = 60 * 60 * SECOND_MS;

pub(crate) async fn a_company_is_told_what_waits_for_it(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    let (first, second) = (
        scenario.subscribe(&acme(), &["a"]).await,
        scenario.subscribe(&acme(), &["a", "b"]).await,
    );
    scenario.subscribe(&company("other"), &["*"]).await;
    assert_eq!(scenario.waits(&acme()).await, (0, None, false));
    scenario.publish(&company("other"), "a").await;
    scenario.advance(SECOND_MS);
    scenario.publish(&acme(), "a").await;
    let oldest = scenario.now();
    scenario.advance(SECOND_MS);
    scenario.publish(&acme(), "b").await;
    let newest = scenario.now();
    for _ in 0..2 {
        assert_eq!(scenario.waits(&acme()).await, (3, Some(oldest), false));
        assert_eq!(scenario.waits(&company("other")).await.0, 1);
        assert_eq!(scenario.waits(&company("nobody")).await, (0, None, false));
        scenario.crash().await;
    }
    let node = scenario.node().await;
    for (count_max, expected) in [(2, (2, true)), (3, (3, false)), (4, (3, false))] {
        let backlog = scenario.store().company_backlog(&acme(), count_max).await;
        let backlog = backlog.expect(WORKS);
        assert_eq!((backlog.backlog.owed, backlog.more), expected);
    }
    // What is in somebody's hands waits as well.
    let deliveries = scenario.claim(&node).await;
    assert_eq!(scenario.waits(&acme()).await, (3, Some(oldest), false));
    for delivery in &deliveries {
        if delivery.key.subscription == first {
            scenario.record(scenario.succeeded(delivery)).await;
        } else if delivery.owed_since == oldest {
            let next = scenario.later(HOUR_MS);
            scenario.record(scenario.retry_at(delivery, next)).await;
        }
    }
    assert_eq!(scenario.waits(&acme()).await, (2, Some(oldest), false));
    scenario.enable(second, false).await;
    assert_eq!(scenario.waits(&acme()).await, (0, None, false));
    scenario.enable(second, true).await;
    scenario.publish(&acme(), "b").await;
    let (owed, since, _) = scenario.waits(&acme()).await;
    assert_eq!(
        (owed, since > Some(newest) || since == Some(scenario.now())),
        (1, true)
    );
    scenario.delete(second).await;
    assert_eq!(scenario.waits(&acme()).await, (0, None, false));
}

pub(crate) async fn companies_are_found_by_how_they_begin(harness: &dyn Harness) {
    let mut scenario = Scenario::new(harness).await;
    // In the order of their bytes, which is no dictionary's.
    scenario.subscribe(&company("B"), &["a"]).await;
    scenario.subscribe(&company("a-sub"), &["a"]).await;
    scenario.subscribe(&company("a-sub"), &["b"]).await;
    scenario.subscribe(&company("a_both"), &["b"]).await;
    for owner in [Some(company("a_both")), Some(company("a0-key")), None] {
        let key = NewApiKey {
            key: ApiKey {
                id: ApiKeyId::new(scenario.now(), scenario.random()),
                name: "for tests".to_owned(),
                company: owner,
                scopes: vec![Scope::Admin],
                expires: None,
                created: scenario.now(),
                last_used: None,
            },
            hash: ApiKeyToken::generate(scenario.random()).hash(),
        };
        scenario.store().create_key(key, &BY).await.expect(WORKS);
    }
    scenario.publish(&company("aB-published"), "a").await;
    scenario.publish(&company("b"), "a").await;
    for _ in 0..2 {
        for (prefix, limit, expected) in [
            (
                "",
                9,
                &["B", "a-sub", "a0-key", "aB-published", "a_both", "b"][..],
            ),
            ("", 2, &["B", "a-sub"]),
            ("a", 9, &["a-sub", "a0-key", "aB-published", "a_both"]),
            ("a", 3, &["a-sub", "a0-key", "aB-published"]),
            ("a_", 9, &["a_both"]),
            ("a_both", 9, &["a_both"]),
            ("b", 9, &["b"]),
            ("c", 9, &[]),
            ("%", 9, &[]),
        ] {
            let found = scenario
                .store()
                .companies(prefix, limit)
                .await
                .expect(WORKS);
            let found: Vec<_> = found.iter().map(CompanyId::as_str).collect();
            assert_eq!(found, expected, "{prefix:?}");
        }
        // What has only figures is found by what is in memory first, then by what was written.
        scenario.reopen().await;
    }
}

pub(crate) async fn recent_types_are_a_companys_own(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let none = scenario.store().recent_types(&acme()).await;
    assert_eq!(none, Ok(Vec::new()));
    for event_type in ["b", "a.b", "b", "a"] {
        scenario.publish(&acme(), event_type).await;
    }
    scenario.publish(&company("other"), "c").await;
    let types = scenario.store().recent_types(&acme()).await;
    let expected = ["a", "a.b", "b"].map(event_type_of).to_vec();
    assert_eq!(types, Ok(expected));
}

pub(crate) async fn a_time_has_its_place_in_the_log(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let before = async |time: UtcMillis| scenario.store().position_before(time).await;
    assert_eq!(
        before(UtcMillis::from_millis(i64::MAX)).await,
        Ok(0),
        "an empty log"
    );
    let mut stored = Vec::new();
    for n in 0..40_i64 {
        // Some at the same time, and of two companies.
        scenario.advance((n % 3) * SECOND_MS);
        let owner = [acme(), company("other")][usize::from(n % 2 == 0)].clone();
        scenario.publish(&owner, "a").await;
        let head = scenario.store().head().await.expect(WORKS);
        stored.push((head, scenario.now()));
    }
    let expected = |time: UtcMillis, from: usize| {
        let earlier = stored[from..].iter().rfind(|(_, at)| *at < time);
        Ok(earlier.map_or(0, |(position, _)| *position))
    };
    let probes = |at: UtcMillis| [-1, 0, 1].map(|millis| at.plus_millis(millis));
    for &(_, at) in &stored {
        for time in probes(at) {
            assert_eq!(before(time).await, expected(time, 0));
        }
    }
    // Retention leaves the newest alone.
    let last = scenario.now();
    scenario.set_time(last.plus_millis(DAY_MS));
    scenario.publish(&acme(), "a").await;
    scenario
        .tidy(Retention {
            events_ms: Some(DAY_MS / 2),
            attempts_ms: None,
        })
        .await;
    let head = scenario.store().head().await.expect(WORKS);
    assert_eq!(before(scenario.later(1)).await, Ok(head));
    let dropped = before(scenario.now()).await.expect(WORKS);
    assert!(dropped == 0 || dropped == stored.last().expect("forty were").0);
}

pub(crate) async fn what_was_stored_behind_later_ones_is_not_skipped(harness: &dyn Harness) {
    let scenario = Scenario::new(harness).await;
    let begun = scenario.now();
    let mut stored = Vec::new();
    // Their times were taken in another order than the one in which they were stored.
    for seconds in [100, 105, 101, 130, 104, 131, 129, 160, 131, 170] {
        scenario.set_time(begun.plus_millis(seconds * SECOND_MS));
        scenario.publish(&acme(), "a").await;
        let head = scenario.store().head().await.expect(WORKS);
        stored.push((head, scenario.now()));
    }
    for &(_, at) in &stored {
        for time in [-1, 0, 1].map(|millis| at.plus_millis(millis)) {
            let before = stored.iter().take_while(|(_, at)| *at < time);
            let expected = before.last().map_or(0, |(position, _)| *position);
            let found = scenario.store().position_before(time).await;
            assert_eq!(found, Ok(expected), "{time}");
        }
    }
}

impl Scenario<'_> {
    /// How much waits for a company, since when, and whether there is more.
    async fn waits(&self, company: &CompanyId) -> (u64, Option<UtcMillis>, bool) {
        let count_max = EVERYTHING as u64;
        let found = self.store().company_backlog(company, count_max).await;
        let found = found.expect(WORKS);
        (found.backlog.owed, found.backlog.oldest, found.more)
    }
}
