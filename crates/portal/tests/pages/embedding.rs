//! Cookies and frames: what depends on where people reach the portal and on who may show it.

use tidings_domain::visitor::Role;

use crate::{
    entry::{EMAIL, PASSWORD, SIGN_IN, sign_in},
    stage::{Settings, Stage},
};

const HTTPS: Settings = Settings {
    public_url: "https://hooks.example.com",
    frame_origins: &[],
    environment: tidings_domain::target::Environment::Production,
};
const FRAMED: Settings = Settings {
    frame_origins: &["https://app.example.com", "https://other.example.com"],
    ..HTTPS
};

#[tokio::test]
async fn cookies_are_for_https_where_the_portal_is() {
    let stage = Stage::with(HTTPS);
    stage.user(EMAIL, PASSWORD).await;
    let browser = stage.browser();
    let form = browser.get(SIGN_IN).await;
    assert!(form.set_cookies()[0].starts_with("__Host-tidings_form="));
    let answer = sign_in(&browser, PASSWORD, "").await;
    let session = answer.set_cookies()[0].to_owned();
    assert!(session.starts_with("__Host-tidings_session="), "{session}");
    let rest = session.split_once(';').unwrap().1;
    assert_eq!(
        rest,
        " Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"
    );
    // A cookie that a neighbouring host could set is none of ours.
    let name = "__Host-tidings_session";
    let other = stage.browser();
    other.set_cookie("tidings_session", &browser.cookie(name).unwrap());
    other.get("/portal/account").await.is(303);
}

#[tokio::test]
async fn a_guest_in_a_frame_gets_a_cookie_for_that_frame_alone() {
    let stage = Stage::with(FRAMED);
    stage.user(EMAIL, PASSWORD).await;
    let link = stage.link("acme", Role::Admin).await;
    let guest = stage.browser();
    let answer = guest.get(&link).await;
    // One of the other kind would be sent with it.
    let [other, own] = answer.set_cookies().try_into().unwrap();
    assert!(
        other.contains("Max-Age=0;") && other.contains("SameSite=Lax"),
        "{other}"
    );
    let (_, rest) = own.split_once(';').unwrap();
    let wanted = " Path=/; Max-Age=3600; HttpOnly; SameSite=None; Partitioned; Secure";
    assert_eq!(rest, wanted);
    guest.get("/portal/c/acme").await.is(200);
    // An operator is in no frame.
    let answer = sign_in(&stage.browser(), PASSWORD, "").await;
    let [other, own] = answer.set_cookies().try_into().unwrap();
    assert!(other.contains("Max-Age=0;") && other.contains("SameSite=None"));
    assert!(!own.contains("Max-Age=0;") && own.contains("SameSite=Lax"));
    let out = guest.post("/portal/sign-out", &[]).await;
    assert_eq!(
        out.set_cookies().len(),
        2,
        "both kinds are forgotten: {out:?}"
    );
}

#[tokio::test]
async fn frames_are_for_the_origins_that_were_named() {
    let plain = Stage::new().browser().get(SIGN_IN).await;
    assert!(
        plain
            .header("content-security-policy")
            .ends_with("frame-ancestors 'none'")
    );
    assert_eq!(plain.header("x-frame-options"), "DENY");
    let framed = Stage::with(FRAMED).browser().get(SIGN_IN).await;
    let policy = framed.header("content-security-policy");
    let wanted = "frame-ancestors https://app.example.com https://other.example.com";
    assert!(policy.ends_with(wanted), "{policy}");
    assert_eq!(framed.header("x-frame-options"), "");
}
