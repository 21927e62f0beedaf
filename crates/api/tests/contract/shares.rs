//! Slow work, of which each company has only so much at a time: tests, looks at URLs, replays.

use std::{sync::Arc, time::Duration};

use http::Method;
use tidings_api::Limits;
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, yield_now},
    time::timeout,
};

use crate::harness::{Answer, App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS, Settings};

const PATIENCE: Duration = Duration::from_secs(10);
const WEBHOOK: &str = r#"{"url":"https://example.com/hook","eventTypes":["*"]}"#;
const MOVED: &str = r#"{"url":"https://example.com/moved"}"#;

fn app(limits: Limits) -> Arc<App> {
    Arc::new(App::with(Settings {
        limits,
        ..Settings::default()
    }))
}

fn ask(app: &Arc<App>, method: Method, key: &str, path: &str, body: &str) -> JoinHandle<Answer> {
    let (app, key) = (Arc::clone(app), key.to_owned());
    let (path, body) = (path.to_owned(), body.to_owned());
    tokio::spawn(async move { app.ask(method, &key, &path, &body).await })
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            yield_now().await;
        }
    };
    let held = timeout(PATIENCE, waiting).await;
    held.expect("it should be under way by now");
}

#[track_caller]
fn refused(answer: &Answer) {
    answer.problem(503, "overloaded");
    assert_eq!(answer.field("retry-after"), "1");
}

#[tokio::test]
async fn one_companys_tests_leave_room_for_others() {
    let app = app(Limits {
        tests_per_company_max: 1,
        ..Limits::default()
    });
    let (acme, globex) = (app.admin("acme").await, app.admin("globex").await);
    let (ours, theirs) = (
        app.subscribe(&acme, &["*"]).await,
        app.subscribe(&globex, &["*"]).await,
    );
    let test = |of: &str| format!("{SUBSCRIPTIONS}/{of}/test");
    let gate = Arc::new(Semaphore::new(0));
    *app.outbound.gate.lock() = Some(Arc::clone(&gate));
    let first = ask(&app, Method::POST, &acme, &test(&ours), "");
    until(|| app.outbound.sent.lock().len() == 1).await;
    refused(&app.post(&acme, &test(&ours), "").await);
    // The platform acts for the company.
    refused(&app.post(BOOTSTRAP, &test(&ours), "").await);
    let other = ask(&app, Method::POST, &globex, &test(&theirs), "");
    until(|| app.outbound.sent.lock().len() == 2).await;
    app.publish(&acme, "a").await;
    gate.add_permits(3);
    for test in [first, other] {
        assert_eq!(timeout(PATIENCE, test).await.unwrap().unwrap().status, 200);
    }
    let again = app.post(&acme, &test(&ours), "").await;
    assert_eq!(again.status, 200, "it is given back");
}

#[tokio::test]
async fn one_companys_url_checks_leave_room_for_others() {
    let app = app(Limits {
        url_checks_per_company_max: 1,
        ..Limits::default()
    });
    let (acme, globex) = (app.admin("acme").await, app.admin("globex").await);
    let made = app.subscribe(&acme, &["*"]).await;
    let path = format!("{SUBSCRIPTIONS}/{made}");
    app.outbound.checked.lock().clear();
    let gate = Arc::new(Semaphore::new(0));
    *app.outbound.gate.lock() = Some(Arc::clone(&gate));
    let first = ask(&app, Method::PATCH, &acme, &path, MOVED);
    until(|| app.outbound.checked.lock().len() == 1).await;
    refused(&app.post(&acme, SUBSCRIPTIONS, WEBHOOK).await);
    refused(&app.patch(BOOTSTRAP, &path, MOVED).await);
    let of_acme = format!("{SUBSCRIPTIONS}?companyId=acme");
    refused(&app.post(BOOTSTRAP, &of_acme, WEBHOOK).await);
    // What names no URL is looked at by nobody.
    let described = app.patch(&acme, &path, r#"{"description":"x"}"#).await;
    assert_eq!(described.status, 200);
    let other = ask(&app, Method::POST, &globex, SUBSCRIPTIONS, WEBHOOK);
    until(|| app.outbound.checked.lock().len() == 2).await;
    gate.add_permits(3);
    for (asked, status) in [(first, 200), (other, 201)] {
        let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
        assert_eq!(answer.status, status);
    }
    let again = app.post(&acme, SUBSCRIPTIONS, WEBHOOK).await;
    assert_eq!(again.status, 201, "it is given back");
}

#[tokio::test]
async fn a_companys_replays_are_bounded() {
    let replay = r#"{"sinceUtc":"2026-11-23T00:00:00Z","only":"all"}"#;
    for (replays_per_company_max, status) in [(0, 503), (1, 202)] {
        let app = app(Limits {
            replays_per_company_max,
            ..Limits::default()
        });
        let acme = app.admin("acme").await;
        app.publish(&acme, "a").await;
        let sub = app.subscribe(&acme, &["*"]).await;
        let path = format!("{SUBSCRIPTIONS}/{sub}/replay");
        // The second one finds the place of the first free again.
        for key in [acme.as_str(), BOOTSTRAP] {
            let answer = app.post(key, &path, replay).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
        let nowhere = path.replace(&sub, "sub_01k3zt5w9hf0bvv8d6n7q2m4xe");
        let answer = app.post(BOOTSTRAP, &nowhere, replay).await;
        answer.problem(404, "not_found");
        assert_eq!(app.get(&acme, EVENTS).await.status, 200);
    }
}
