//! The visitor's own stay, and ending it.

use tidings_domain::visitor::Role;

use crate::stage::{Browser, HOUR_MS, Stage};

const EMAIL: &str = "ada@example.com";
const OLD: &str = "correct horse battery";
const NEW: &str = "another horse battery";

async fn sign_in(stage: &Stage, password: &str) -> Browser {
    let browser = stage.browser();
    browser.get("/portal/sign-in").await.is(200);
    let fields = [("email", EMAIL), ("password", password)];
    browser.post("/portal/sign-in", &fields).await.is(303);
    browser
}

#[tokio::test]
async fn it_says_who_one_is_and_for_how_long() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let page = operator.get("/portal/account").await.is(200);
    assert!(page.has("do everything, for every company"));
    assert!(page.has("2026-11-23T20:30:00.000Z"), "{page:?}");
    let admin = stage
        .admin("acme")
        .await
        .get("/portal/account")
        .await
        .is(200);
    assert!(admin.has("acme (admin)") && admin.has("/portal/c/acme/webhooks"));
    assert!(!admin.has("name=\"current\""), "a guest has no password");
    let viewer = stage.guest("acme", Role::Viewer).await;
    let page = viewer.get("/portal/account").await.is(200);
    assert!(page.has("look at everything of this company"));
    assert!(
        !page.has("sign-out-everywhere"),
        "a viewer ends only their own session"
    );
}

#[tokio::test]
async fn an_operator_signs_out_everywhere() {
    let stage = Stage::new();
    stage.user(EMAIL, OLD).await;
    let (here, there) = (sign_in(&stage, OLD).await, sign_in(&stage, OLD).await);
    let other = stage.operator().await;
    here.get("/portal/account").await.is(200);
    let answer = here.post("/portal/account/sign-out-everywhere", &[]).await;
    answer.leads_to("/portal/sign-in?done=signed-out-everywhere");
    assert!(
        here.get(answer.location())
            .await
            .has("All sessions were ended.")
    );
    here.get("/portal/account").await.is(303);
    there.get("/portal/account").await.is(303);
    other.get("/portal/account").await.is(200);
}

#[tokio::test]
async fn an_admin_signs_everybody_of_the_company_out() {
    let stage = Stage::new();
    let (admin, viewer) = (
        stage.admin("acme").await,
        stage.guest("acme", Role::Viewer).await,
    );
    let (other, operator) = (stage.admin("globex").await, stage.operator().await);
    viewer.get("/portal/account").await.is(200);
    let refused = viewer
        .post("/portal/account/sign-out-everywhere", &[])
        .await;
    refused.is(403);
    admin.get("/portal/account").await.is(200);
    admin
        .post("/portal/account/sign-out-everywhere", &[])
        .await
        .is(303);
    admin.get("/portal/c/acme").await.is(303);
    viewer.get("/portal/c/acme").await.is(303);
    other.get("/portal/c/globex").await.is(200);
    operator.get("/portal/c/acme").await.is(200);
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_old_one() {
    let stage = Stage::new();
    stage.user(EMAIL, OLD).await;
    let (here, there) = (sign_in(&stage, OLD).await, sign_in(&stage, OLD).await);
    here.get("/portal/account").await.is(200);
    let change = "/portal/account/password";
    let wrong = [
        ("current", "incorrect horse"),
        ("password", NEW),
        ("again", NEW),
    ];
    let page = here.post(change, &wrong).await.is(422);
    assert!(page.element("current-error").is_some(), "{page:?}");
    assert!(
        !page.has(NEW) && !page.has("incorrect horse"),
        "passwords are not shown"
    );
    let unequal = [("current", OLD), ("password", "short"), ("again", NEW)];
    let page = here.post(change, &unequal).await.is(422);
    assert!(page.element("current-error").is_none());
    assert!(page.element("password-error").is_some() && page.element("again-error").is_some());
    let right = [("current", OLD), ("password", NEW), ("again", NEW)];
    let answer = here.post(change, &right).await;
    answer.leads_to("/portal/sign-in?done=password-changed");
    here.get("/portal/account").await.is(303);
    there.get("/portal/account").await.is(303);
    sign_in(&stage, NEW)
        .await
        .get("/portal/account")
        .await
        .is(200);
}

#[tokio::test]
async fn guessing_the_old_password_is_throttled_with_signing_in() {
    let stage = Stage::new();
    stage.user(EMAIL, OLD).await;
    let browser = sign_in(&stage, OLD).await;
    browser.get("/portal/account").await.is(200);
    let change = "/portal/account/password";
    let wrong = [
        ("current", "incorrect horse"),
        ("password", NEW),
        ("again", NEW),
    ];
    for _ in 0..10 {
        browser.post(change, &wrong).await.is(422);
    }
    let right = [("current", OLD), ("password", NEW), ("again", NEW)];
    browser.post(change, &right).await.is(429);
    let elsewhere = stage.browser();
    elsewhere.get("/portal/sign-in").await.is(200);
    let fields = [("email", EMAIL), ("password", OLD)];
    elsewhere.post("/portal/sign-in", &fields).await.is(429);
    stage.clock.advance(HOUR_MS / 4);
    browser.get("/portal/account").await.is(200);
    browser.post(change, &right).await.is(303);
}

#[tokio::test]
async fn a_guest_has_no_password_to_change() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    admin.get("/portal/account").await.is(200);
    let fields = [("current", OLD), ("password", NEW), ("again", NEW)];
    admin
        .post("/portal/account/password", &fields)
        .await
        .is(404);
}
