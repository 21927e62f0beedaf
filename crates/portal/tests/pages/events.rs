//! Events: browsing, finding, one event with its trace, and delivering it once more.

use http::header;
use tidings_domain::{
    actor::{Actor, Who},
    attempt::AttemptOutcome,
    audit::Action,
    clock::Clock as _,
    id::{EventId, SubscriptionId},
    visitor::Role,
};
use tidings_store::{
    AuditLog as _, AuditQuery, AuditScope, SubscriptionBook as _, SubscriptionChange,
};

use crate::stage::{Answer, HOUR_MS, Stage, answered, company, failed, start};

const EVENTS: &str = "/portal/c/acme/events";
const URL: &str = "https://example.com/hooks";

/// The ids of the events on a page, from top to bottom.
fn ids(page: &Answer) -> Vec<String> {
    let rows = page.text.split("href=\"/portal/c/acme/events/evt_").skip(1);
    rows.map(|row| format!("evt_{}", row.split('"').next().unwrap()))
        .collect()
}

fn link(page: &Answer, rel: &str) -> Option<String> {
    let end = page.text.find(&format!("\" rel=\"{rel}\""))?;
    let start = page.text[..end].rfind("href=\"")?;
    Some(page.text[start + 6..end].replace("&#38;", "&"))
}

async fn disable(stage: &Stage, webhook: SubscriptionId) {
    let off = SubscriptionChange {
        enabled: Some(false),
        ..SubscriptionChange::default()
    };
    let now = stage.clock.now();
    let by = Actor::COMMAND;
    let changed = stage
        .store
        .update_subscription(None, webhook, None, off, now, &by);
    changed.await.unwrap();
}

#[tokio::test]
async fn events_are_browsed_by_type_and_time() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    assert!(
        admin
            .get(EVENTS)
            .await
            .is(200)
            .has("No event has been published yet.")
    );
    let first = stage
        .publish("acme", "client.created", r#"{"name":"Ada"}"#)
        .await;
    stage.clock.advance(HOUR_MS);
    let second = stage.publish("acme", "invoice.paid", "{}").await;
    stage.publish("globex", "invoice.paid", "{}").await;
    let (first, second) = (first.to_string(), second.to_string());
    let page = admin.get(EVENTS).await.is(200);
    assert_eq!(ids(&page), [second.clone(), first.clone()]);
    assert!(page.has("2026-11-23T08:30:00.000Z") && page.has("{&#34;name&#34;:&#34;Ada&#34;}"));
    for (query, expected) in [
        ("type=invoice.*", vec![second.clone()]),
        ("type=client.created", vec![first.clone()]),
        ("type=other", vec![]),
        ("before=2026-11-23T09:00", vec![first.clone()]),
        ("before=2026-11-23T08:00", vec![]),
        (
            "before=2026-11-24T08:00&type=*",
            vec![second.clone(), first.clone()],
        ),
    ] {
        let page = admin.get(&format!("{EVENTS}?{query}")).await.is(200);
        assert_eq!(ids(&page), expected, "{query}");
    }
    let page = admin
        .get(&format!("{EVENTS}?type=a..b&before=soon"))
        .await
        .is(422);
    assert!(page.element("type-problem").is_some() && page.element("before-problem").is_some());
    assert_eq!(page.field_value("before").as_deref(), Some("soon"));
    assert!(ids(&page).is_empty());
}

#[tokio::test]
async fn events_are_listed_page_by_page_in_both_directions() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let mut expected = Vec::new();
    for _ in 0..120 {
        expected.push(
            stage
                .publish("acme", "client.created", "{}")
                .await
                .to_string(),
        );
        stage.publish("acme", "other", "{}").await;
    }
    expected.reverse();
    let (mut path, mut pages) = (format!("{EVENTS}?type=client.*"), Vec::new());
    loop {
        let page = admin.get(&path).await.is(200);
        pages.push(ids(&page));
        match link(&page, "next") {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(pages.concat(), expected);
    let last = admin.get(&path).await;
    let newer = link(&last, "prev").unwrap();
    let middle = admin.get(&newer).await.is(200);
    assert_eq!(ids(&middle), pages[pages.len() - 2]);
    // And older again.
    let older = admin.get(&link(&middle, "next").unwrap()).await.is(200);
    assert_eq!(ids(&older), pages[pages.len() - 1]);
    let mut page = middle;
    for _ in 0..4 {
        let newer = admin.get(&link(&page, "prev").unwrap()).await;
        if newer.status != 200 {
            newer.leads_to(&format!("{EVENTS}?type=client.*"));
            return;
        }
        page = newer;
    }
    panic!("the newest page was never reached");
}

#[tokio::test]
async fn an_event_is_found_by_its_id() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let own = stage.publish("acme", "client.created", "{}").await;
    let others = stage.publish("globex", "client.created", "{}").await;
    let find = |id: String| format!("{EVENTS}?id={id}");
    let found = admin.get(&find(format!("+{own}+"))).await;
    found.leads_to(&format!("{EVENTS}/{own}"));
    admin.get(found.location()).await.is(200);
    let unknown = EventId::new(start(), stage.random.as_ref());
    for id in [others, unknown] {
        let page = admin.get(&find(id.to_string())).await.is(404);
        let problem = page.element("id-problem").unwrap();
        assert!(problem.starts_with("There is no event with this id."));
    }
    let page = admin.get(&find("evt_1".to_owned())).await.is(422);
    assert!(
        page.element("id-problem")
            .unwrap()
            .contains(" must be an id like evt_")
    );
}

#[tokio::test]
async fn an_event_tells_what_became_of_it_at_each_webhook() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let wanting = stage.subscribe("acme", URL, &["client.*"]).await;
    stage
        .subscribe("acme", "https://example.org/not", &["invoice.*"])
        .await;
    let off = stage
        .subscribe("acme", "https://example.net/off", &["*"])
        .await;
    disable(&stage, off).await;
    let event = stage
        .publish("acme", "client.created", r#"{"a":[1]}"#)
        .await;
    let path = format!("{EVENTS}/{event}");
    assert!(admin.get(&path).await.is(200).has("Pending"));
    stage.attempt_all(failed(503, "")).await;
    let page = admin.get(&path).await.is(200);
    for part in [
        "Retrying",
        "Attempt 1 failed; the next is due at",
        ">503<",
        "2026-11-23T09:30:00.000Z",
        "Not wanted",
        "The subscription did not want client.created when the event was published.",
        "The subscription was disabled when the event was published.",
        &format!("/portal/c/acme/log?webhook={wanting}&#38;event={event}"),
        &format!("/portal/c/acme/webhooks/{wanting}"),
        "<span class=\"j-key\">\"companyId\"</span>",
        "The webhook is disabled. Enable it first.",
    ] {
        assert!(page.has(part), "{part} in {page:?}");
    }
    let order = ["example.com/hooks", "example.net/off", "example.org/not"];
    assert!(order.map(|name| page.text.find(name).unwrap()).is_sorted());
    assert_eq!(page.text.matches("/redeliver\"").count(), 2);
    let deleted =
        stage
            .store
            .delete_subscription(None, wanting, stage.clock.now(), &Actor::COMMAND);
    deleted.await.unwrap();
    let page = admin.get(&path).await.is(200);
    assert!(!page.has(&format!("/webhooks/{wanting}\"")));
    let viewer = stage.guest("acme", Role::Viewer).await;
    assert!(!viewer.get(&path).await.is(200).has("redeliver"));
}

#[tokio::test]
async fn the_raw_envelope_is_a_download_byte_for_byte() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let payload = "{\"n\": 1e400,\r\n\t\"s\":\"</script>\u{202e}\"}";
    let event = stage.publish("acme", "client.created", payload).await;
    let raw = admin.get(&format!("{EVENTS}/{event}/raw")).await.is(200);
    assert!(raw.has(payload) && raw.text.starts_with(&format!("{{\"id\":\"{event}\"")));
    assert_eq!(
        raw.header(header::CONTENT_TYPE.as_str()),
        "application/json"
    );
    assert_eq!(raw.header("x-content-type-options"), "nosniff");
    assert_eq!(raw.header("cache-control"), "no-store");
    let disposition = format!("attachment; filename=\"{event}.json\"");
    assert_eq!(raw.header("content-disposition"), disposition);
    let other = stage.admin("globex").await;
    for path in [
        format!("/portal/c/globex/events/{event}"),
        format!("/portal/c/globex/events/{event}/raw"),
        format!("{EVENTS}/{event}/raw"),
        "/portal/c/globex/events/evt_1/raw".to_owned(),
    ] {
        other.get(&path).await.is(404);
    }
}

#[tokio::test]
async fn delivering_once_more_owes_the_event_and_is_audited() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let webhook = stage.subscribe("acme", URL, &["*"]).await;
    let event = stage.publish("acme", "client.created", "{}").await;
    let success = (AttemptOutcome::Succeeded, answered(200, "ok"));
    stage.attempt_all(success.clone()).await;
    let page = format!("{EVENTS}/{event}");
    admin.get(&page).await.is(200);
    let fields = [("webhook", webhook.to_string())];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let sent = admin.post(&format!("{page}/redeliver"), &fields).await;
    sent.leads_to(&format!("{page}?done=redelivered"));
    assert_eq!(stage.attempt_all(success).await, 1);
    let query = AuditQuery {
        scope: AuditScope::Company(company("acme")),
        target: Some(webhook.to_string()),
        before: None,
        limit: 10,
    };
    let lines = stage.store.audit(query).await.unwrap().entries;
    let line = &lines[0];
    assert_eq!(line.action, Action::Redelivered);
    assert_eq!(line.actor.who, Who::Guest(Role::Admin));
    assert_eq!(line.actor.address, Some(admin.address));
    assert_eq!(line.changes[0].after, Some(event.to_string()));
}

#[tokio::test]
async fn nobody_delivers_what_is_not_theirs_to_deliver() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let webhook = stage.subscribe("acme", URL, &["*"]).await;
    let event = stage.publish("acme", "client.created", "{}").await;
    let others_webhook = stage.subscribe("globex", URL, &["*"]).await;
    let others_event = stage.publish("globex", "client.created", "{}").await;
    stage
        .attempt_all((AttemptOutcome::Succeeded, answered(200, "")))
        .await;
    let at = |event: EventId| format!("{EVENTS}/{event}/redeliver");
    let (own, others) = (webhook.to_string(), others_webhook.to_string());
    admin.get(&format!("{EVENTS}/{event}")).await.is(200);
    for (path, webhook) in [
        (at(event), others.as_str()),
        (at(event), "sub_1"),
        (at(event), ""),
        (at(others_event), own.as_str()),
        (at(others_event), others.as_str()),
        (
            format!("/portal/c/globex/events/{others_event}/redeliver"),
            others.as_str(),
        ),
        (format!("{EVENTS}/evt_1/redeliver"), own.as_str()),
    ] {
        admin.post(&path, &[("webhook", webhook)]).await.is(404);
    }
    admin
        .post_forged(&at(event), &[("webhook", &own)])
        .await
        .is(403);
    let viewer = stage.guest("acme", Role::Viewer).await;
    viewer.get("/portal/account").await.is(200);
    viewer.post(&at(event), &[("webhook", &own)]).await.is(403);
    admin
        .post(&at(event), &[("webhook", &own), ("back", "//evil")])
        .await
        .is(400);
    assert_eq!(
        stage.attempt_all(failed(500, "")).await,
        0,
        "nothing is owed"
    );
    disable(&stage, webhook).await;
    let page = admin.post(&at(event), &[("webhook", &own)]).await.is(409);
    assert!(page.has("Nothing was sent: the webhook is disabled."));
}
