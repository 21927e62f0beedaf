//! The platform's users, as operators see to them.

use tidings_store::People as _;

use crate::stage::{Browser, Stage};

const PASSWORD: &str = "correct horse battery";
const NEW: &str = "/portal/platform/users/new";

async fn can_sign_in(stage: &Stage, email: &str, password: &str) -> bool {
    let browser = stage.browser();
    browser.get("/portal/sign-in").await.is(200);
    let fields = [("email", email), ("password", password)];
    browser.post("/portal/sign-in", &fields).await.status == 303
}

/// A browser in which this user has signed in.
async fn signed_in(stage: &Stage, email: &str) -> Browser {
    let browser = stage.browser();
    browser.get("/portal/sign-in").await.is(200);
    let fields = [("email", email), ("password", PASSWORD)];
    browser.post("/portal/sign-in", &fields).await.is(303);
    browser
}

#[tokio::test]
async fn an_operator_makes_another() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    operator.get(NEW).await.is(200);
    let fields = [
        ("email", "Grace@Example.com"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    let answer = operator.post(NEW, &fields).await;
    answer.leads_to("/portal/platform/users?done=user-created");
    let list = operator.get(answer.location()).await.is(200);
    assert!(list.has("grace@example.com") && list.has("The user can sign in now."));
    assert!(can_sign_in(&stage, "grace@example.com", PASSWORD).await);
    let taken = operator.post(NEW, &fields).await.is(422);
    assert!(taken.element("email-error").unwrap().contains("already"));
}

#[tokio::test]
async fn mistakes_are_told_at_their_fields() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    operator.get(NEW).await.is(200);
    let fields = [
        ("email", "\"><script>"),
        ("password", "short"),
        ("again", "other"),
    ];
    let page = operator.post(NEW, &fields).await.is(422);
    for error in ["email-error", "password-error", "again-error"] {
        assert!(page.element(error).is_some(), "{error} in {page:?}");
    }
    assert_eq!(page.field_value("email").unwrap(), "\"><script>");
    assert_eq!(stage.store.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_user_is_out_at_once() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let id = stage.user("grace@example.com", PASSWORD).await;
    let grace = signed_in(&stage, "grace@example.com").await;
    grace.get("/portal/platform").await.is(200);
    let page = operator
        .get(&format!("/portal/platform/users/{id}"))
        .await
        .is(200);
    assert!(page.has("grace@example.com") && page.has("Delete user"));
    let path = format!("/portal/platform/users/{id}/delete");
    let answer = operator.post(&path, &[]).await;
    answer.leads_to("/portal/platform/users?done=user-deleted");
    grace.get("/portal/platform").await.is(303);
    assert!(!can_sign_in(&stage, "grace@example.com", PASSWORD).await);
    operator.post(&path, &[]).await.is(404);
    operator
        .get(&format!("/portal/platform/users/{id}"))
        .await
        .is(404);
}

#[tokio::test]
async fn nobody_deletes_themselves_so_one_stays() {
    let stage = Stage::new();
    let id = stage.user("ada@example.com", PASSWORD).await;
    let ada = signed_in(&stage, "ada@example.com").await;
    let page = ada
        .get(&format!("/portal/platform/users/{id}"))
        .await
        .is(200);
    assert!(page.has("You cannot delete yourself.") && !page.has("/delete\""));
    let path = format!("/portal/platform/users/{id}/delete");
    let refused = ada.post(&path, &[]).await.is(409);
    assert!(refused.has("You cannot delete yourself."));
    assert_eq!(stage.store.users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_and_the_sessions() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let id = stage.user("grace@example.com", PASSWORD).await;
    let grace = signed_in(&stage, "grace@example.com").await;
    let page = format!("/portal/platform/users/{id}");
    let path = format!("{page}/password");
    operator.get(&page).await.is(200);
    let unequal = [("password", "another horse battery"), ("again", "x")];
    let refused = operator.post(&path, &unequal).await.is(422);
    assert!(refused.element("again-error").is_some());
    grace.get("/portal/platform").await.is(200);
    let fields = [
        ("password", "another horse battery"),
        ("again", "another horse battery"),
    ];
    let answer = operator.post(&path, &fields).await;
    answer.leads_to(&format!("{page}?done=password-set"));
    assert!(
        operator
            .get(answer.location())
            .await
            .has("The password is set.")
    );
    grace.get("/portal/platform").await.is(303);
    assert!(!can_sign_in(&stage, "grace@example.com", PASSWORD).await);
    assert!(can_sign_in(&stage, "grace@example.com", "another horse battery").await);
}

#[tokio::test]
async fn ones_own_password_is_changed_with_the_account() {
    let stage = Stage::new();
    let id = stage.user("ada@example.com", PASSWORD).await;
    let ada = signed_in(&stage, "ada@example.com").await;
    let page = ada
        .get(&format!("/portal/platform/users/{id}"))
        .await
        .is(200);
    assert!(page.has("/portal/account") && !page.has("name=\"again\""));
    let fields = [
        ("password", "another horse battery"),
        ("again", "another horse battery"),
    ];
    let path = format!("/portal/platform/users/{id}/password");
    ada.post(&path, &fields).await.leads_to("/portal/account");
    assert!(can_sign_in(&stage, "ada@example.com", PASSWORD).await);
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    operator.get("/portal/account").await.is(200);
    for id in [
        "usr_01h455vb4pex5vsknk084sn02q",
        "x",
        "sub_01h455vb4pex5vsknk084sn02q",
    ] {
        let path = format!("/portal/platform/users/{id}");
        operator.get(&path).await.is(404);
        operator.post(&format!("{path}/delete"), &[]).await.is(404);
        operator
            .post(&format!("{path}/password"), &[])
            .await
            .is(404);
    }
}
