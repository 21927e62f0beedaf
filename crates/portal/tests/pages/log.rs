//! The delivery log: what it lists, by which filters, page by page, and one attempt.

use http::header;
use tidings_domain::{
    actor::Actor,
    attempt::{AttemptError, AttemptOutcome, ReceivedResponse},
    clock::Clock as _,
    cursor::Order,
    id::{EventId, SubscriptionId},
    visitor::Role,
};
use tidings_store::{
    AttemptLog as _, AttemptSearch, PlacedAttempt, SubscriptionBook as _, SubscriptionChange,
};

use crate::stage::{Answer, HOUR_MS, Stage, answered, company, failed};

const LOG: &str = "/portal/c/acme/log";
const URL: &str = "https://example.com/hooks";
/// Bytes of a page at most.
const PAGE_BYTES_MAX: usize = 100_000;

/// The places of the lines on a page, from top to bottom.
fn places(page: &Answer) -> Vec<i64> {
    let rows = page.text.split("<tr id=\"a").skip(1);
    rows.map(|row| row.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// Where the link with this relation leads.
fn link(page: &Answer, rel: &str) -> Option<String> {
    let end = page.text.find(&format!("\" rel=\"{rel}\""))?;
    let start = page.text[..end].rfind("href=\"")?;
    Some(page.text[start + 6..end].replace("&#38;", "&"))
}

/// Everything in the company's log, newest first.
async fn attempts(stage: &Stage) -> Vec<PlacedAttempt> {
    let search = AttemptSearch {
        company: company("acme"),
        subscription: None,
        outcome: None,
        status: None,
        types: Vec::new(),
        event: None,
        since: None,
        until: None,
        order: Order::Descending,
        after: None,
        limit: 1000,
        look_at_max: 10_000,
    };
    stage.store.search_attempts(search).await.unwrap().attempts
}

/// A company whose one event was attempted once; gives the webhook, the event and the place.
async fn one_attempt(
    stage: &Stage,
    payload: &str,
    answer: (AttemptOutcome, ReceivedResponse),
) -> (SubscriptionId, EventId, i64) {
    let webhook = stage.subscribe("acme", URL, &["*"]).await;
    let event = stage.publish("acme", "client.created", payload).await;
    assert_eq!(stage.attempt_all(answer).await, 1);
    (webhook, event, attempts(stage).await[0].place)
}

fn success() -> (AttemptOutcome, ReceivedResponse) {
    (AttemptOutcome::Succeeded, answered(200, "ok"))
}

#[tokio::test]
async fn the_log_says_what_to_do_where_it_is_empty() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let page = admin.get(LOG).await.is(200);
    assert!(page.has("/portal/c/acme/webhooks/new"));
    let viewer = stage.guest("acme", Role::Viewer).await;
    assert!(!viewer.get(LOG).await.is(200).has("webhooks/new"));
    stage.subscribe("acme", URL, &["*"]).await;
    let page = admin.get(LOG).await.is(200);
    assert!(page.has("As soon as an event is published"));
    let page = admin.get(&format!("{LOG}?status=404")).await.is(200);
    assert!(page.has("No attempt matches these filters"));
}

#[tokio::test]
async fn attempts_are_listed_newest_first_with_what_a_person_needs() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let (webhook, event, _) = one_attempt(&stage, "{}", failed(503, "busy")).await;
    stage.clock.advance(HOUR_MS);
    stage.attempt_all(success()).await;
    let page = admin.get(LOG).await.is(200);
    let [second, first] = places(&page)[..] else {
        panic!("{page:?}");
    };
    assert!(second > first);
    for part in [
        "2026-11-23T08:30:00.000Z",
        "2026-11-23T09:30:00.000Z",
        "retry at",
        ">503<",
        ">200<",
        "client.created",
        &event.to_string(),
        URL,
        "42 ms",
        &format!("{LOG}/{first}"),
        &format!("/portal/c/acme/events/{event}"),
        &format!("{LOG}?webhook={webhook}"),
    ] {
        assert!(page.has(part), "{part}");
    }
}

#[tokio::test]
async fn each_filter_narrows_the_list() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let (webhook, event, first) = one_attempt(&stage, "{}", failed(404, "")).await;
    stage.clock.advance(60_000);
    let other = stage
        .subscribe("acme", "https://example.org/", &["invoice.*"])
        .await;
    stage.publish("acme", "invoice.paid", "{}").await;
    let timeout = AttemptOutcome::Failed(AttemptError::Timeout);
    let answer = (timeout, ReceivedResponse::default());
    assert_eq!(stage.attempt_all(answer).await, 2);
    for (query, count) in [
        (String::new(), 3),
        ("outcome=failed".to_owned(), 3),
        ("outcome=succeeded".to_owned(), 0),
        ("status=404".to_owned(), 1),
        ("status=4xx".to_owned(), 1),
        ("status=none".to_owned(), 2),
        ("type=invoice.*".to_owned(), 2),
        ("type=invoice.paid,client.*".to_owned(), 3),
        (format!("webhook={webhook}"), 2),
        (format!("webhook={other}"), 1),
        (format!("event={event}"), 1),
        ("since=2026-11-23T08:31".to_owned(), 2),
        ("until=2026-11-23T08:31".to_owned(), 1),
        (format!("webhook={webhook}&status=none&type=*"), 1),
    ] {
        let page = admin.get(&format!("{LOG}?{query}")).await.is(200);
        assert_eq!(places(&page).len(), count, "{query}");
    }
    let page = admin.get(&format!("{LOG}?status=404")).await;
    assert_eq!(places(&page), [first]);
    assert_eq!(page.field_value("status").as_deref(), Some("404"));
    assert!(
        page.has("log/live?status=404&#38;after="),
        "the live view has its filters"
    );
}

#[tokio::test]
async fn mistakes_in_filters_are_told_and_nothing_is_listed() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    one_attempt(&stage, "{}", success()).await;
    let query = "outcome=odd&status=%22%3E%3Cscript%3E&type=a..b&event=x&since=soon&webhook=y";
    let page = admin.get(&format!("{LOG}?{query}")).await.is(422);
    for name in ["outcome", "status", "type", "event", "since", "webhook"] {
        let problem = page.element(&format!("{name}-problem"));
        assert!(problem.unwrap().contains(" must be "), "{name}");
    }
    assert_eq!(page.text.matches("aria-invalid=\"true\"").count(), 6);
    assert_eq!(page.field_value("type").as_deref(), Some("a..b"));
    assert_eq!(page.field_value("status").as_deref(), Some("\"><script>"));
    assert!(places(&page).is_empty() && !page.has("id=\"live\""));
    admin.get(&format!("{LOG}?older=x")).await.is(404);
}

#[tokio::test]
async fn pages_lead_to_older_and_newer_ones() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage.subscribe("acme", URL, &["*"]).await;
    for _ in 0..120 {
        stage.publish("acme", "client.created", "{}").await;
    }
    assert_eq!(stage.attempt_all(success()).await, 120);
    let expected: Vec<i64> = attempts(&stage).await.iter().map(|it| it.place).collect();
    let (mut seen, mut path, mut pages) = (Vec::new(), format!("{LOG}?status=200"), Vec::new());
    loop {
        let page = admin.get(&path).await.is(200);
        seen.extend(places(&page));
        pages.push(places(&page));
        assert_eq!(page.has("id=\"live\""), pages.len() == 1);
        match link(&page, "next") {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(pages.len(), 3);
    let last = admin.get(&path).await;
    let middle = admin.get(&link(&last, "prev").unwrap()).await.is(200);
    assert_eq!(places(&middle), pages[1]);
    let first = link(&middle, "prev").unwrap();
    let first = admin.get(&first).await;
    // Whatever is left there fits the newest page, which updates itself.
    if first.status == 200 {
        assert_eq!(places(&first), pages[0]);
        admin
            .get(&link(&first, "prev").unwrap())
            .await
            .leads_to(&format!("{LOG}?status=200"));
    } else {
        first.leads_to(&format!("{LOG}?status=200"));
    }
}

#[tokio::test]
async fn another_companys_ids_are_as_if_they_were_none() {
    let stage = Stage::new();
    let (webhook, event, place) = one_attempt(&stage, "{}", success()).await;
    let other = stage.admin("globex").await;
    let unknown = other.get("/portal/c/globex/log/999999").await.is(404);
    let random = &*stage.random;
    let (no_webhook, no_event) = (
        SubscriptionId::new(crate::stage::start(), random),
        EventId::new(crate::stage::start(), random),
    );
    for path in [
        format!("/portal/c/globex/log/{place}"),
        format!("/portal/c/globex/log/0{place}x"),
        format!("/portal/c/globex/log?webhook={webhook}"),
        format!("/portal/c/globex/log?webhook={no_webhook}"),
        format!("/portal/c/globex/log?event={event}"),
        format!("/portal/c/globex/log?event={no_event}"),
        format!("/portal/c/globex/log/live?webhook={webhook}&after=0"),
        LOG.to_owned(),
        format!("{LOG}/{place}"),
        format!("{LOG}/live?after=0"),
    ] {
        let page = other.get(&path).await.is(404);
        assert_eq!(page.text, unknown.text, "{path}");
    }
    assert!(places(&other.get("/portal/c/globex/log").await.is(200)).is_empty());
    let operator = stage.operator().await;
    operator.get(&format!("{LOG}/{place}")).await.is(200);
    operator
        .get(&format!("/portal/c/globex/log/{place}"))
        .await
        .is(404);
}

#[tokio::test]
async fn an_attempt_is_explained_and_shown() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let answer = failed(429, r#"{"error":{"retry":[1,2]}}"#);
    let payload = r#"{"n":123456789012345678901234567890.10,"it's":"$(id)"}"#;
    let (webhook, event, place) = one_attempt(&stage, payload, answer).await;
    let page = admin.get(&format!("{LOG}/{place}")).await.is(200);
    for part in [
        "The endpoint answered 429.",
        "Set a delivery rate",
        "Next attempt at",
        "2026-11-23T09:30:00.000Z",
        "123456789012345678901234567890.10",
        "webhook-signature: v1,",
        &format!("X-Webhook-Subscription: {webhook}"),
        "X-Webhook-Attempt: 1",
        "content-type: text/plain",
        "<span class=\"j-key\">\"retry\"</span>",
        &format!("/portal/c/acme/webhooks/{webhook}"),
        &format!("/portal/c/acme/events/{event}"),
        "curl --globoff 'https://example.com/hooks'",
        r"--header 'webhook-signature: v1,",
        r#""it'\''s":"$(id)"}"#,
    ] {
        assert!(page.has(part), "{part} in {page:?}");
    }
    let action = format!("action=\"/portal/c/acme/events/{event}/redeliver\"");
    assert!(page.has(&action));
    assert_eq!(page.field_value("back"), Some(place.to_string()));
    let viewer = stage.guest("acme", Role::Viewer).await;
    let page = viewer.get(&format!("{LOG}/{place}")).await.is(200);
    assert!(!page.has(&action) && page.has("The endpoint answered 429."));
}

#[tokio::test]
async fn the_time_line_has_every_attempt_of_the_delivery() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let (_, event, first) = one_attempt(&stage, "{}", failed(500, "")).await;
    stage.clock.advance(HOUR_MS);
    stage.attempt_all(success()).await;
    admin.get(&format!("{LOG}/{first}")).await.is(200);
    let path = format!("/portal/c/acme/events/{event}/redeliver");
    let webhook = attempts(&stage).await[0].attempt.subscription.to_string();
    let fields = [("webhook", webhook.as_str()), ("back", &first.to_string())];
    let sent = admin.post(&path, &fields).await;
    sent.leads_to(&format!("{LOG}/{first}?done=redelivered"));
    let page = admin.get(sent.location()).await.is(200);
    assert!(page.has("The event is being sent once more."));
    assert!(page.has("Next attempt is due now."));
    stage.clock.advance(1000);
    stage.attempt_all(failed(500, "")).await;
    let page = admin.get(&format!("{LOG}/{first}")).await.is(200);
    let at = [
        "Attempt 1: 500",
        "Attempt 2: succeeded with 200",
        "Attempt 1 (delivered again): 500",
    ]
    .map(|step| {
        page.text
            .find(step)
            .unwrap_or_else(|| panic!("{step} in {page:?}"))
    });
    assert!(at.is_sorted());
    assert!(page.text[at[2]..].contains("Next attempt at"));
    let here = page.text.find("aria-current=\"true\"").unwrap();
    assert!(here < at[0]);
}

#[tokio::test]
async fn what_can_not_be_delivered_again_says_why() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let (webhook, _, place) = one_attempt(&stage, "{}", success()).await;
    let path = format!("{LOG}/{place}");
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
    let page = admin.get(&path).await.is(200);
    assert!(page.has("The webhook is disabled. Enable it first.") && !page.has("/redeliver\""));
    let deleted = stage.store.delete_subscription(None, webhook, now, &by);
    deleted.await.unwrap();
    let page = admin.get(&path).await.is(200);
    assert!(page.has("The webhook is deleted.") && !page.has("/redeliver\""));
    assert!(!page.has(&format!("/webhooks/{webhook}\"")));
    // The log of a deleted webhook stays.
    let page = admin.get(&format!("{LOG}?webhook={webhook}")).await.is(200);
    assert_eq!(places(&page), [place]);
}

#[tokio::test]
async fn what_endpoints_and_publishers_send_stays_text() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let attack = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let payload = serde_json::json!({ attack: attack }).to_string();
    let (outcome, mut response) = failed(302, attack);
    response.headers = vec![("location".to_owned(), attack.to_owned())];
    let (_, event, place) = one_attempt(&stage, &payload, (outcome, response)).await;
    let redirect = AttemptOutcome::Failed(AttemptError::Redirect);
    stage.clock.advance(HOUR_MS);
    let mut json = answered(302, &payload);
    json.headers = vec![("location".to_owned(), attack.to_owned())];
    stage.attempt_all((redirect, json)).await;
    let second = attempts(&stage).await[0].place;
    for path in [
        LOG.to_owned(),
        format!("{LOG}/{place}"),
        format!("{LOG}/{second}"),
        "/portal/c/acme/events".to_owned(),
        format!("/portal/c/acme/events/{event}"),
    ] {
        let page = admin.get(&path).await.is(200);
        assert!(
            !page.has("<script>") && !page.has("<img"),
            "{path}: {page:?}"
        );
    }
    let page = admin.get(&format!("{LOG}/{second}")).await;
    assert!(page.has("&lt;script&gt;alert(1)"));
}

#[tokio::test]
async fn pages_stay_small_whatever_there_is_to_show() {
    let stage = Stage::new();
    let url = format!("https://example.com/?{}", "&".repeat(1900));
    stage.subscribe("acme", &url, &["*"]).await;
    let event_type = format!("{}.{}", "a".repeat(63), "b".repeat(64));
    let deep = format!("{}1{}", "{\"&\":".repeat(99), "}".repeat(99));
    let large = format!(r#"{{"deep":{deep},"large":"{}"}}"#, "<&>".repeat(80_000));
    let mut response = answered(500, &"&".repeat(4000));
    response.headers = vec![("x".repeat(100), "<".repeat(60_000))];
    let failure = AttemptOutcome::Failed(AttemptError::Status);
    let event = stage.publish("acme", &event_type, &large).await;
    for _ in 0..62 {
        stage.attempt_all((failure, response.clone())).await;
        stage.clock.advance(HOUR_MS);
    }
    for _ in 0..60 {
        stage.publish("acme", &event_type, "{}").await;
    }
    assert_eq!(stage.attempt_all((failure, response)).await, 61);
    let admin = stage.admin("acme").await;
    let place = attempts(&stage).await;
    let place = place.iter().rfind(|placed| placed.attempt.event == event);
    let place = place.unwrap().place;
    for path in [
        LOG.to_owned(),
        format!("{LOG}?event={event}&webhook="),
        format!("{LOG}/{place}"),
        "/portal/c/acme/events".to_owned(),
        format!("/portal/c/acme/events/{event}"),
    ] {
        let page = admin.get(&path).await.is(200);
        assert!(
            page.text.len() < PAGE_BYTES_MAX,
            "{path}: {}",
            page.text.len()
        );
        assert!(page.text.len() > 10_000, "{path}: {}", page.text.len());
    }
    let page = admin.get(&format!("{LOG}/{place}")).await;
    assert!(page.has("This is only its beginning.") && page.has(&format!("events/{event}/raw")));
    assert!(page.has(&format!("--data-binary '@{event}.json'")));
    assert!(page.has("There are more attempts"));
    let raw = admin
        .get(&format!("/portal/c/acme/events/{event}/raw"))
        .await
        .is(200);
    assert!(raw.has(&large));
    assert_eq!(
        raw.header(header::CONTENT_TYPE.as_str()),
        "application/json"
    );
}

#[tokio::test]
async fn who_is_not_signed_in_comes_back_to_the_same_view() {
    let stage = Stage::new();
    let answer = stage.browser().get(&format!("{LOG}?status=5xx")).await;
    answer.leads_to("/portal/sign-in?next=%2Fportal%2Fc%2Facme%2Flog%3Fstatus%3D5xx");
}
