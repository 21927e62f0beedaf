//! Getting in and out: passwords, links, sessions, and what every answer carries.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tidings_domain::visitor::Role;
use tidings_store::LinkPurpose;

use crate::stage::{Answer, Browser, HOUR_MS, Stage};

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SIGN_IN: &str = "/portal/sign-in";

pub(crate) async fn sign_in(browser: &Browser, password: &str, next: &str) -> Answer {
    browser.get(SIGN_IN).await.is(200);
    let fields = [("email", EMAIL), ("password", password), ("next", next)];
    browser.post(SIGN_IN, &fields).await
}

#[tokio::test]
async fn an_operator_signs_in_with_a_password() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let browser = stage.browser();
    browser
        .get("/portal")
        .await
        .leads_to("/portal/sign-in?next=%2Fportal");
    sign_in(&browser, PASSWORD, "")
        .await
        .leads_to("/portal/platform");
    let page = browser.get("/portal/platform").await.is(200);
    assert!(page.has(EMAIL), "{page:?}");
    browser.get("/portal").await.leads_to("/portal/platform");
    let users = browser.get("/portal/platform/users").await.is(200);
    assert!(users.has("2026-11-23T08:30:00.000Z"), "signed in at");
}

#[tokio::test]
async fn a_wrong_password_says_as_much_as_an_unknown_email() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let browser = stage.browser();
    let wrong = sign_in(&browser, "incorrect horse", "").await.is(422);
    assert!(wrong.has("There is no user with this email and password."));
    assert!(wrong.set_cookies().is_empty());
    assert_eq!(wrong.field_value("email").unwrap(), EMAIL);
    assert!(!wrong.has("incorrect horse"), "a password is not shown");
    let unknown = [
        ("email", "eve@example.com"),
        ("password", "incorrect horse"),
    ];
    let unknown = browser.post(SIGN_IN, &unknown).await.is(422);
    assert_eq!(unknown.text, wrong.text.replace(EMAIL, "eve@example.com"));
    for fields in [
        [("email", EMAIL), ("password", "")],
        [("email", ""), ("password", PASSWORD)],
        [("email", "no email"), ("password", PASSWORD)],
    ] {
        browser.post(SIGN_IN, &fields).await.is(422);
    }
    browser.get("/portal/account").await.is(303);
}

#[tokio::test]
async fn wrong_passwords_make_the_next_try_wait() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let browser = stage.browser();
    for _ in 0..10 {
        sign_in(&browser, "incorrect horse", "").await.is(422);
    }
    let refused = sign_in(&browser, PASSWORD, "").await.is(429);
    assert_eq!(refused.header("retry-after"), "900");
    assert!(refused.has("Too many tries"), "{refused:?}");
    stage.clock.advance(HOUR_MS / 4);
    sign_in(&browser, PASSWORD, "")
        .await
        .leads_to("/portal/platform");
}

#[tokio::test]
async fn a_stranger_does_not_keep_the_owner_out() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let stranger = stage.browser_at("2001:db8::1");
    for _ in 0..10 {
        sign_in(&stranger, "incorrect horse", "").await.is(422);
    }
    sign_in(&stranger, PASSWORD, "").await.is(429);
    let neighbour = stage.browser_at("2001:db8::2");
    sign_in(&neighbour, PASSWORD, "").await.is(429);
    let owner = stage.browser_at("192.0.2.1");
    sign_in(&owner, PASSWORD, "")
        .await
        .leads_to("/portal/platform");
    sign_in(&stranger, PASSWORD, "").await.is(429);
}

#[tokio::test]
async fn who_sends_forms_slowly_keeps_out_their_own_network_alone() {
    const EACH_MAX: usize = 8;
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let setup = stage.link_for(LinkPurpose::Setup).await;
    let slow = stage.browser_at("2001:db8::1");
    slow.get(SIGN_IN).await.is(200);
    let never = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let paths = [SIGN_IN, &format!("/portal/setup/{setup}")];
    let mut waiting: Vec<_> = (0..EACH_MAX)
        .map(|n| Box::pin(slow.post_body(paths[n % 2], never())))
        .collect();
    for form in &mut waiting {
        assert!(
            futures_util::poll!(form.as_mut()).is_pending(),
            "its form has not come"
        );
    }
    let neighbour = stage.browser_at("2001:db8::2");
    sign_in(&neighbour, PASSWORD, "").await.is(503);
    sign_in(&stage.browser_at("2001:db8:0:1::1"), PASSWORD, "")
        .await
        .leads_to("/portal/platform");
    drop(waiting.pop());
    sign_in(&neighbour, PASSWORD, "")
        .await
        .leads_to("/portal/platform");
}

#[tokio::test]
async fn the_way_leads_back_to_the_page_and_never_to_another_site() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let browser = stage.browser();
    let asked = browser
        .get("/portal/c/acme/log?outcome=failed&type=a.*")
        .await;
    let there = "/portal/sign-in?next=%2Fportal%2Fc%2Facme%2Flog%3Foutcome%3Dfailed%26type%3Da.*";
    asked.leads_to(there);
    let form = browser.get(there).await.is(200);
    let next = form.field_value("next").unwrap();
    sign_in(&browser, PASSWORD, &next)
        .await
        .leads_to("/portal/c/acme/log?outcome=failed&type=a.*");
    for elsewhere in [
        "https://evil.example/portal/",
        "//evil.example/portal/",
        "/portal//evil.example",
        "/portal/\\evil.example",
        "\\\\evil.example",
        "/portalx",
        "/docs",
        "javascript:alert(1)",
        "/portal/\r\nSet-Cookie: a=b",
        "/portal/../docs//",
    ] {
        let answer = sign_in(&stage.browser(), PASSWORD, elsewhere).await;
        answer.leads_to("/portal/platform");
    }
}

#[tokio::test]
async fn the_form_for_signing_in_is_bound_to_the_browser_that_got_it() {
    let stage = Stage::new();
    stage.user(EMAIL, PASSWORD).await;
    let form = format!("email={EMAIL}&password=correct+horse+battery");
    let bare = stage.browser();
    bare.post_raw(SIGN_IN, &form).await.is(403);
    let (own, other) = (stage.browser(), stage.browser());
    let page = own.get(SIGN_IN).await;
    let token = page.field_value("csrf").unwrap();
    other.get(SIGN_IN).await.is(200);
    other
        .post_raw(SIGN_IN, &format!("{form}&csrf={token}"))
        .await
        .is(403);
    other
        .post_forged(SIGN_IN, &[("email", EMAIL), ("password", PASSWORD)])
        .await
        .is(403);
    own.post_raw(SIGN_IN, &format!("{form}&csrf={token}"))
        .await
        .leads_to("/portal/platform");
}

#[tokio::test]
async fn a_link_is_good_once() {
    let stage = Stage::new();
    let link = stage.link("acme", Role::Admin).await;
    let (guest, thief) = (stage.browser(), stage.browser());
    guest.get(&link).await.leads_to("/portal/c/acme");
    let page = guest.get("/portal/account").await.is(200);
    assert!(page.has("acme (admin)"), "{page:?}");
    thief.get(&link).await.is(410);
    thief.get("/portal/c/acme").await.is(303);
    // Who loads the page again in the browser that was let in goes on.
    guest.get(&link).await.leads_to("/portal/c/acme");
}

#[tokio::test]
async fn a_look_at_its_head_leaves_a_link_good() {
    let stage = Stage::new();
    let link = stage.link("acme", Role::Viewer).await;
    let preview = stage.browser().head(&link).await.is(200);
    assert!(preview.set_cookies().is_empty());
    stage.browser().get(&link).await.leads_to("/portal/c/acme");
}

#[tokio::test]
async fn a_link_and_the_session_behind_it_end_in_time() {
    let stage = Stage::new();
    let (used, unused) = (
        stage.link("acme", Role::Admin).await,
        stage.link("acme", Role::Admin).await,
    );
    let guest = stage.browser();
    guest.get(&used).await.leads_to("/portal/c/acme");
    stage.clock.advance(HOUR_MS - 1);
    guest.get("/portal/c/acme").await.is(200);
    stage.clock.advance(1);
    guest.get("/portal/c/acme").await.is(303);
    stage.browser().get(&unused).await.is(410);
}

#[tokio::test]
async fn what_is_no_link_opens_nothing() {
    let stage = Stage::new();
    let setup = stage.link_for(LinkPurpose::Setup).await;
    for token in ["x", &"A".repeat(43), &"A".repeat(44), "%00", &setup] {
        let answer = stage.browser().get(&format!("/portal/enter/{token}")).await;
        let answer = answer.is(410);
        assert!(answer.set_cookies().is_empty(), "{answer:?}");
    }
    // And the link for the first user is still good.
    stage
        .browser()
        .get(&format!("/portal/setup/{setup}"))
        .await
        .is(200);
}

#[tokio::test]
async fn the_first_user_is_made_by_a_link() {
    let stage = Stage::new();
    let path = format!("/portal/setup/{}", stage.link_for(LinkPurpose::Setup).await);
    let browser = stage.browser();
    browser.get(&path).await.is(200);
    let wrong = [
        ("email", "ada"),
        ("password", "short"),
        ("again", "shorter"),
    ];
    let page = browser.post(&path, &wrong).await.is(422);
    for error in ["email-error", "password-error", "again-error"] {
        assert!(page.element(error).is_some(), "{error}");
    }
    assert_eq!(page.field_value("email").unwrap(), "ada");
    assert!(!page.has("shorter"), "passwords are not shown");
    let right = [
        ("email", EMAIL),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    stage.browser().post_raw(&path, "email=a@b.c").await.is(403);
    browser
        .post(&path, &right)
        .await
        .leads_to("/portal/platform");
    browser.get("/portal/platform").await.is(200);
    stage.browser().get(&path).await.is(410);
    sign_in(&stage.browser(), PASSWORD, "")
        .await
        .leads_to("/portal/platform");
}

#[tokio::test]
async fn a_setup_link_is_good_for_nothing_once_there_is_a_user() {
    let stage = Stage::new();
    let path = format!("/portal/setup/{}", stage.link_for(LinkPurpose::Setup).await);
    let browser = stage.browser();
    browser.get(&path).await.is(200);
    stage.user(EMAIL, PASSWORD).await;
    let fields = [
        ("email", "eve@example.com"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    browser.post(&path, &fields).await.is(410);
    browser.get(&path).await.is(410);
    // A link for a guest makes no user.
    let guest = stage.link("acme", Role::Admin).await;
    let as_setup = guest.replace("/enter/", "/setup/");
    browser.get(&as_setup).await.is(410);
    browser.get(&guest).await.leads_to("/portal/c/acme");
}

#[tokio::test]
async fn signing_out_ends_the_session_itself() {
    let stage = Stage::new();
    let browser = stage.operator().await;
    browser.get("/portal/platform").await.is(200);
    let thief = stage.browser();
    thief.set_cookie(
        "tidings_session",
        &browser.cookie("tidings_session").unwrap(),
    );
    thief.get("/portal/platform").await.is(200);
    let answer = browser.post("/portal/sign-out", &[]).await;
    answer.leads_to("/portal/sign-in?done=signed-out");
    assert!(answer.set_cookies()[0].contains("tidings_session=; Path=/; Max-Age=0;"));
    assert!(
        browser
            .get(answer.location())
            .await
            .has("You are signed out.")
    );
    browser.get("/portal/platform").await.is(303);
    thief.get("/portal/platform").await.is(303);
}

#[tokio::test]
async fn an_expired_session_is_none() {
    let stage = Stage::new();
    let browser = stage.operator().await;
    browser.get("/portal/account").await.is(200);
    stage.clock.advance(12 * HOUR_MS);
    browser
        .get("/portal/account")
        .await
        .leads_to("/portal/sign-in?next=%2Fportal%2Faccount");
    let answer = browser
        .post("/portal/account/sign-out-everywhere", &[])
        .await;
    assert!(answer.is(401).has("You are signed out"));
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let page = operator.get("/portal/platform").await.is(200);
    let sheet = page
        .text
        .split("href=\"")
        .find(|rest| rest.contains(".css"));
    let sheet = sheet.unwrap().split('"').next().unwrap().to_owned();
    let answers = [
        page,
        operator.get("/portal/nowhere").await.is(404),
        operator.get("/portal/c/not%20one").await.is(404),
        operator
            .get("/portal/platform/open?company=a%20b")
            .await
            .is(422),
        operator.post_raw("/portal/platform", "").await.is(405),
        operator.post_forged("/portal/sign-out", &[]).await.is(403),
        operator.get("/portal").await.is(303),
        operator.get("/portal/platform/companies").await.is(200),
        stage.browser().get("/portal/account").await.is(303),
        stage.browser().get("/portal/enter/x").await.is(410),
        operator.get(&sheet).await.is(200),
    ];
    for answer in &answers {
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{answer:?}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert!(!answer.header("x-request-id").is_empty());
        let is_asset = answer.has("--ground");
        let cache = answer.header("cache-control");
        let wanted = if is_asset {
            "public, max-age=31536000, immutable"
        } else {
            "no-store"
        };
        assert_eq!(cache, wanted, "{answer:?}");
    }
}
