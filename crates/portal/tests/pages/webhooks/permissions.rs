//! Who may do what.

use tidings_domain::visitor::Role;

use super::{URL, WEBHOOKS, path, with_webhook};

/// Everything that changes something or costs something.
const POSTS: [&str; 7] = [
    "/edit", "/enable", "/disable", "/delete", "/rotate", "/test", "/replay",
];

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let (stage, _, id) = with_webhook(&["*"]).await;
    let viewer = stage.guest("acme", Role::Viewer).await;
    let list = viewer.get(WEBHOOKS).await.is(200);
    assert!(list.has(URL) && !list.has("/webhooks/new"));
    let page = viewer.get(&path(id, "")).await.is(200);
    for tail in POSTS {
        assert!(!page.has(&format!("{tail}\"")), "{tail} in {}", page.text);
        viewer
            .post(&path(id, tail), &[("version", "1"), ("url", URL)])
            .await
            .is(403);
    }
    for tail in ["/new", "/check-url"] {
        viewer
            .post(&format!("{WEBHOOKS}{tail}"), &[("url", URL)])
            .await
            .is(403);
    }
    for page in [
        format!("{WEBHOOKS}/new"),
        path(id, "/edit"),
        path(id, "/replay"),
    ] {
        viewer.get(&page).await.is(403);
    }
    assert!(stage.subscription(id).await.unwrap().enabled);
    assert!(stage.outbound.sent.lock().is_empty() && stage.outbound.checked.lock().is_empty());
}

#[tokio::test]
async fn another_companys_webhook_does_not_exist() {
    let (stage, admin, _) = with_webhook(&["*"]).await;
    let theirs = stage
        .subscribe("globex", "https://globex.example/", &["*"])
        .await;
    let unknown = "sub_01h455vb4pex5vsknk084sn02q";
    admin.get(WEBHOOKS).await;
    admin.get(&format!("{WEBHOOKS}/new")).await;
    let nothing = admin
        .get(&format!("{WEBHOOKS}/{unknown}"))
        .await
        .is(404)
        .text;
    for page in ["", "/edit", "/replay", "/replay/abc", "/test", "/rotate"] {
        let page = admin.get(&path(theirs, page)).await.is(404);
        assert_eq!(page.text, nothing);
    }
    for tail in POSTS {
        let form = [
            ("version", "1"),
            ("url", URL),
            ("since", "2026-11-23T00:00"),
            ("only", "all"),
        ];
        admin.post(&path(theirs, tail), &form).await.is(404);
        admin
            .post(&format!("{WEBHOOKS}/no-id{tail}"), &form)
            .await
            .is(404);
        let there = format!("/portal/c/globex/webhooks/{theirs}{tail}");
        admin.post(&there, &form).await.is(404);
    }
    for page in ["/portal/c/globex/webhooks", "/portal/c/globex/webhooks/new"] {
        admin.get(page).await.is(404);
    }
    assert!(stage.subscription(theirs).await.unwrap().enabled);
    assert!(stage.outbound.sent.lock().is_empty());
}

#[tokio::test]
async fn a_forged_form_does_nothing() {
    let (stage, admin, id) = with_webhook(&["*"]).await;
    admin.get(WEBHOOKS).await;
    for tail in POSTS {
        let form = [("version", "1"), ("url", URL), ("type", "a.b")];
        admin.post_forged(&path(id, tail), &form).await.is(403);
        admin.post_raw(&path(id, tail), "version=1").await.is(403);
    }
    for tail in ["/new", "/check-url"] {
        admin
            .post_forged(&format!("{WEBHOOKS}{tail}"), &[("url", URL)])
            .await
            .is(403);
    }
    let webhook = stage.subscription(id).await.unwrap();
    assert_eq!((webhook.enabled, webhook.version), (true, 1));
    assert!(stage.outbound.sent.lock().is_empty() && stage.outbound.checked.lock().is_empty());
}

#[tokio::test]
async fn an_operator_goes_everywhere_and_a_stranger_to_the_sign_in() {
    let (stage, _, id) = with_webhook(&["*"]).await;
    let operator = stage.operator().await;
    assert!(operator.get(&path(id, "")).await.is(200).has(URL));
    let done = operator.post(&path(id, "/disable"), &[]).await;
    done.leads_to(&path(id, "?done=webhook-disabled"));
    let stranger = stage.browser();
    let turned = stranger.get(&path(id, "")).await.is(303);
    assert!(turned.location().starts_with("/portal/sign-in?next="));
    stranger
        .post_raw(&path(id, "/disable"), "csrf=x")
        .await
        .is(401);
}
