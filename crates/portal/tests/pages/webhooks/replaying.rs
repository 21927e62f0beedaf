//! Replaying a range.

use std::time::Duration;

use tidings_domain::{attempt::AttemptOutcome, audit::Action, id::SubscriptionId};
use tidings_store::{AuditLog as _, AuditQuery, AuditScope};

use super::{path, with_webhook};
use crate::stage::{Answer, Browser, Stage, answered, company, failed};

const RANGE: &str = "since=2026-11-23T00:00&until=2026-11-24T00:00";

/// Three events: two arrived, one did not yet.
async fn three_events(stage: &Stage) {
    for end in [
        (AttemptOutcome::Succeeded, answered(200, "ok")),
        (AttemptOutcome::Succeeded, answered(200, "ok")),
        failed(500, "down"),
    ] {
        stage.publish("acme", "client.created", "{}").await;
        stage.attempt_all(end).await;
    }
}

/// The page of a replay when it has ended.
async fn ended(browser: &Browser, run: &str) -> Answer {
    let ended = async {
        loop {
            let page = browser.get(run).await.is(200);
            if page.has("data-ended") {
                return page;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended)
        .await
        .expect("the replay ends")
}

async fn replayed_lines(stage: &Stage, id: SubscriptionId) -> Vec<Vec<(String, String)>> {
    let query = AuditQuery {
        scope: AuditScope::Company(company("acme")),
        target: Some(id.to_string()),
        before: None,
        limit: 50,
    };
    let entries = stage.store.audit(query).await.unwrap().entries;
    let entries = entries.into_iter();
    let replayed = entries.filter(|entry| entry.action == Action::Replayed);
    let pairs = replayed.map(|entry| {
        let changes = entry.changes.into_iter();
        changes
            .map(|change| (change.field, change.after.unwrap()))
            .collect()
    });
    pairs.collect()
}

#[tokio::test]
async fn first_the_count_then_a_word_then_the_end() {
    let (stage, admin, id) = with_webhook(&["client.*"]).await;
    three_events(&stage).await;
    let page = admin
        .get(&path(id, &format!("/replay?{RANGE}&only=all")))
        .await
        .is(200);
    assert_eq!(
        page.element("counted"),
        Some("3 events would be sent once more.")
    );
    let page = admin
        .get(&path(id, &format!("/replay?{RANGE}&only=failed")))
        .await
        .is(200);
    assert_eq!(
        page.element("counted"),
        Some("1 event would be sent once more.")
    );
    assert!(
        replayed_lines(&stage, id).await.is_empty(),
        "counting changes nothing"
    );
    let form = [
        ("since", "2026-11-23T00:00"),
        ("until", "2026-11-24T00:00"),
        ("only", "all"),
    ];
    let begun = admin.post(&path(id, "/replay"), &form).await.is(303);
    let run = begun.location().to_owned();
    assert!(run.starts_with(&path(id, "/replay/")), "{run}");
    // Who waits for the server's tasks waits for it, and for its line in the audit log.
    stage.tasks.close();
    stage.tasks.wait().await;
    assert_eq!(replayed_lines(&stage, id).await.len(), 1);
    let page = ended(&admin, &run).await;
    assert!(
        page.has("Done: 3 events are being sent once more."),
        "{}",
        page.text
    );
    assert!(!page.has("http-equiv=\"refresh\"") && !page.has("data-poll"));
    let part = admin.get(&format!("{run}?part=state")).await.is(200);
    assert!(part.has("Done: 3") && !part.has("<html"));
    let end = (AttemptOutcome::Succeeded, answered(200, "ok"));
    assert_eq!(stage.attempt_all(end).await, 3);
    let lines = replayed_lines(&stage, id).await;
    let [line] = lines.try_into().unwrap();
    let find = |name: &str| {
        let pair = line.iter().find(|(field, _)| field == name);
        pair.map(|(_, value)| value.as_str())
    };
    assert_eq!((find("replayed"), find("only")), (Some("3"), Some("all")));
    assert_eq!(find("sinceUtc"), Some("2026-11-23T00:00:00.000Z"));
}

#[tokio::test]
async fn there_may_be_nothing_to_replay() {
    let (_stage, admin, id) = with_webhook(&["client.*"]).await;
    let page = admin
        .get(&path(id, &format!("/replay?{RANGE}&only=all")))
        .await
        .is(200);
    assert!(
        page.element("counted")
            .unwrap()
            .contains("nothing to send again")
    );
    assert!(!page.has("Replay now"));
}

#[tokio::test]
async fn mistakes_are_at_their_fields() {
    let (_stage, admin, id) = with_webhook(&["*"]).await;
    let page = admin
        .get(&path(id, "/replay?since=&until=soon&only=some"))
        .await
        .is(422);
    for error in ["since-error", "until-error", "only-error"] {
        assert!(page.element(error).is_some(), "{error}");
    }
    assert_eq!(page.field_value("until").as_deref(), Some("soon"));
    let form = [
        ("since", "2026-11-24T00:00"),
        ("until", "2026-11-23T00:00"),
        ("only", "all"),
    ];
    let page = admin.post(&path(id, "/replay"), &form).await.is(422);
    assert!(page.element("until-error").unwrap().contains("later"));
}

#[tokio::test]
async fn a_disabled_one_is_not_replayed_to() {
    let (_stage, admin, id) = with_webhook(&["*"]).await;
    admin.get(&path(id, "")).await;
    admin.post(&path(id, "/disable"), &[]).await;
    let page = admin
        .get(&path(id, &format!("/replay?{RANGE}&only=all")))
        .await
        .is(200);
    assert!(page.element("counted").unwrap().contains("disabled"));
    let form = [("since", "2026-11-23T00:00"), ("only", "all")];
    let page = admin.post(&path(id, "/replay"), &form).await.is(409);
    assert!(page.element("counted").unwrap().contains("Enable it first"));
}

#[tokio::test]
async fn a_replay_is_known_to_its_company_alone() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    three_events(&stage).await;
    admin.get(&path(id, "")).await;
    let form = [("since", "2026-11-23T00:00"), ("only", "failed")];
    let begun = admin.post(&path(id, "/replay"), &form).await.is(303);
    let name = begun.location().rsplit('/').next().unwrap().to_owned();
    let other = stage
        .subscribe("acme", "https://example.com/2", &["*"])
        .await;
    for (of, page) in [("globex", path(id, "")), ("acme", path(other, ""))] {
        let unknown = stage
            .admin(of)
            .await
            .get(&format!("{page}/replay/{name}"))
            .await;
        unknown.is(404);
    }
    let page = admin
        .get(&path(id, "/replay/000000000000000000000000"))
        .await
        .is(404);
    assert!(page.has("not known here") && page.has("/portal/c/acme/audit"));
    ended(&admin, begun.location()).await;
}

#[tokio::test]
async fn a_replay_ends_when_the_server_is_stopped() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    three_events(&stage).await;
    admin.get(&path(id, "")).await;
    stage.shutdown.cancel();
    let form = [("since", "2026-11-23T00:00"), ("only", "failed")];
    let begun = admin.post(&path(id, "/replay"), &form).await.is(303);
    stage.tasks.close();
    stage.tasks.wait().await;
    let page = admin.get(begun.location()).await.is(200);
    assert!(
        page.has("data-ended") && page.has("Start it again for the rest"),
        "{}",
        page.text
    );
    assert!(replayed_lines(&stage, id).await.is_empty());
}
