//! Boundaries: what nobody sees of another company, what no form of another site does, and what a
//! viewer does not change.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::Method;
use tidings_domain::visitor::Role;
use tokio::{task::yield_now, time::timeout};

use crate::stage::Stage;

/// Every page of a company, and every form of one, by its path below the company.
const COMPANY_PAGES: [&str; 16] = [
    "",
    "?range=7d",
    "/webhooks",
    "/webhooks/new",
    "/webhooks/ID",
    "/webhooks/ID/edit",
    "/log",
    "/log?webhook=ID",
    "/log/live",
    "/log/1",
    "/events",
    "/events/EVENT",
    "/events/EVENT/raw",
    "/keys",
    "/keys/new",
    "/audit",
];
const COMPANY_FORMS: [&str; 12] = [
    "/webhooks/new",
    "/webhooks/check-url",
    "/webhooks/ID/edit",
    "/webhooks/ID/disable",
    "/webhooks/ID/enable",
    "/webhooks/ID/delete",
    "/webhooks/ID/rotate",
    "/webhooks/ID/test",
    "/webhooks/ID/replay",
    "/events/EVENT/redeliver",
    "/keys/new",
    "/keys/KEY/revoke",
];
const PLATFORM_PAGES: [&str; 8] = [
    "/portal/platform",
    "/portal/platform/open?company=acme",
    "/portal/platform/companies?prefix=a",
    "/portal/platform/keys",
    "/portal/platform/keys/new",
    "/portal/platform/users",
    "/portal/platform/users/new",
    "/portal/platform/audit",
];

#[tokio::test]
async fn another_company_is_as_if_it_were_not_there() {
    let stage = Stage::new();
    let webhook = stage
        .subscribe("globex", "https://globex.example/hook", &["*"])
        .await;
    let event = stage
        .publish("globex", "order.created", r#"{"secret":"globex"}"#)
        .await;
    let key = "key_01h455vb4pex5vsknk084sn02q";
    let path = |of: &str, tail: &str| {
        let tail = tail.replace("ID", &webhook.to_string());
        let tail = tail
            .replace("EVENT", &event.to_string())
            .replace("KEY", key);
        format!("/portal/c/{of}{tail}")
    };
    let guest = stage.admin("acme").await;
    let nothing = guest.get("/portal/nowhere").await.is(404);
    guest.get("/portal/account").await.is(200);
    for tail in COMPANY_PAGES {
        let answer = guest.get(&path("globex", tail)).await.is(404);
        assert_eq!(answer.text, nothing.text, "{tail}");
    }
    for tail in COMPANY_FORMS {
        let answer = guest
            .post(&path("globex", tail), &[("name", "x")])
            .await
            .is(404);
        assert_eq!(answer.text, nothing.text, "{tail}");
    }
    // And its ids below one's own company.
    for tail in [
        "/webhooks/ID",
        "/webhooks/ID/edit",
        "/log/1",
        "/events/EVENT",
        "/events/EVENT/raw",
    ] {
        let answer = guest.get(&path("acme", tail)).await.is(404);
        assert!(!answer.has("globex"), "{answer:?}");
    }
    for path in PLATFORM_PAGES {
        let answer = guest.get(path).await.is(404);
        assert_eq!(answer.text, nothing.text, "{path}");
    }
    assert!(
        stage
            .subscription(webhook)
            .await
            .is_some_and(|webhook| webhook.enabled)
    );
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let stage = Stage::new();
    let webhook = stage
        .subscribe("acme", "https://acme.example/hook", &["*"])
        .await;
    let event = stage.publish("acme", "order.created", "{}").await;
    let key = "key_01h455vb4pex5vsknk084sn02q";
    for browser in [stage.admin("acme").await, stage.operator().await] {
        browser.get("/portal/account").await.is(200);
        for tail in COMPANY_FORMS {
            let tail = tail.replace("ID", &webhook.to_string());
            let tail = tail
                .replace("EVENT", &event.to_string())
                .replace("KEY", key);
            let path = format!("/portal/c/acme{tail}");
            browser.post_forged(&path, &[("name", "x")]).await.is(403);
            browser.post_raw(&path, "name=x").await.is(403);
        }
        for path in ["/portal/sign-out", "/portal/account/sign-out-everywhere"] {
            browser.post_forged(path, &[]).await.is(403);
        }
        browser.get("/portal/account").await.is(200);
    }
    let operator = stage.operator().await;
    for path in [
        "/portal/platform/keys/new",
        "/portal/platform/users/new",
        "/portal/platform/users/usr_01h455vb4pex5vsknk084sn02q/delete",
        "/portal/platform/users/usr_01h455vb4pex5vsknk084sn02q/password",
        "/portal/platform/keys/key_01h455vb4pex5vsknk084sn02q/revoke",
        "/portal/account/password",
    ] {
        operator.post_forged(path, &[("name", "x")]).await.is(403);
    }
    let before = stage.subscription(webhook).await.unwrap();
    assert!(before.enabled && before.version == 1, "{before:?}");
}

#[tokio::test]
async fn the_token_of_one_session_is_none_of_another() {
    let stage = Stage::new();
    let (admin, other) = (stage.admin("acme").await, stage.admin("acme").await);
    let token = other
        .get("/portal/account")
        .await
        .field_value("csrf")
        .unwrap();
    let form = format!("csrf={token}");
    admin
        .post_raw("/portal/account/sign-out-everywhere", &form)
        .await
        .is(403);
    other
        .post_raw("/portal/account/sign-out-everywhere", &form)
        .await
        .is(303);
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let stage = Stage::new();
    let webhook = stage
        .subscribe("acme", "https://acme.example/hook", &["*"])
        .await;
    let viewer = stage.guest("acme", Role::Viewer).await;
    for tail in ["", "/webhooks", "/webhooks/ID", "/log", "/events", "/keys"] {
        let path = format!("/portal/c/acme{}", tail.replace("ID", &webhook.to_string()));
        let page = viewer.get(&path).await.is(200);
        // The one form is for signing out.
        assert_eq!(page.text.matches("method=\"post\"").count(), 1, "{path}");
        assert!(page.has("You can look at everything here and change nothing."));
        assert!(!page.has("/portal/c/acme/audit"), "{path}");
    }
    for tail in COMPANY_FORMS {
        let tail = tail.replace("ID", &webhook.to_string());
        let tail = tail.replace("EVENT", "evt_01h455vb4pex5vsknk084sn02q");
        let tail = tail.replace("KEY", "key_01h455vb4pex5vsknk084sn02q");
        let answer = viewer.post(&format!("/portal/c/acme{tail}"), &[]).await;
        assert!(answer.is(403).has("You can look, but not change"), "{tail}");
    }
    let audit = viewer.get("/portal/c/acme/audit").await.is(403);
    assert!(audit.has("This is for admins"), "{audit:?}");
    viewer.get("/portal/c/acme/keys/new").await.is(403);
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let stage = Stage::new();
    let browser = stage.operator().await;
    browser.get("/portal/account").await.is(200);
    let large = format!("csrf=x&name={}", "x".repeat(400_000));
    browser
        .post_raw("/portal/platform/keys/new", &large)
        .await
        .is(413);
    let answer = browser.method(Method::PUT, "/portal/account").await;
    assert!(answer.is(405).has("This page takes no such request"));
}

/// A form that does not come; `awaited` counts those who began to wait for one.
fn never(awaited: &Arc<AtomicUsize>) -> Body {
    let mut awaited = Some(Arc::clone(awaited));
    Body::from_stream(stream::poll_fn(move |_| {
        if let Some(awaited) = awaited.take() {
            awaited.fetch_add(1, Ordering::SeqCst);
        }
        Poll::<Option<Result<Bytes, Infallible>>>::Pending
    }))
}

#[tokio::test]
async fn who_sends_forms_slowly_keeps_out_their_own_session_alone() {
    const EACH_MAX: usize = 8;
    let stage = Stage::new();
    let (slow, other) = (stage.admin("acme").await, stage.admin("acme").await);
    let paths = ["/portal/c/acme/webhooks/new", "/portal/account/password"];
    let awaited = Arc::new(AtomicUsize::new(0));
    let mut waiting: Vec<_> = (0..EACH_MAX)
        .map(|n| Box::pin(slow.post_body(paths[n % 2], never(&awaited))))
        .collect();
    let all_wait = async {
        while awaited.load(Ordering::SeqCst) < EACH_MAX {
            for form in &mut waiting {
                assert!(futures_util::poll!(form.as_mut()).is_pending());
            }
            yield_now().await;
        }
    };
    let all_wait = timeout(Duration::from_secs(10), all_wait).await;
    all_wait.expect("all of them should be waited for by now");
    let check = "/portal/c/acme/webhooks/check-url";
    let typed = [("url", "https://acme.example/hook")];
    slow.get("/portal/account").await.is(200);
    slow.post(check, &typed).await.is(503);
    other.get("/portal/account").await.is(200);
    other.post(check, &typed).await.is(200);
    drop(waiting.pop());
    slow.post(check, &typed).await.is(200);
}

#[tokio::test]
async fn a_viewers_form_is_not_waited_for() {
    let stage = Stage::new();
    let viewer = stage.guest("acme", Role::Viewer).await;
    let awaited = Arc::new(AtomicUsize::new(0));
    for tail in COMPANY_FORMS {
        let path = format!("/portal/c/acme{tail}");
        let answer = viewer.post_body(&path, never(&awaited)).await;
        assert!(answer.is(403).has("You can look, but not change"), "{tail}");
    }
    assert_eq!(awaited.load(Ordering::SeqCst), 0);
}
