//! API keys: a company's and the platform's own.

use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyToken, Scope},
    clock::Clock as _,
    id::ApiKeyId,
    visitor::Role,
};
use tidings_store::{KeyRing as _, NewApiKey};

use crate::stage::{Answer, Browser, HOUR_MS, Stage, company};

const DAY_MS: i64 = 24 * HOUR_MS;
const KEYS: &str = "/portal/c/acme/keys";
const NEW: &str = "/portal/c/acme/keys/new";

/// The hidden fields of the form on a page.
fn hidden(page: &Answer) -> Vec<(String, String)> {
    let field = |name: &str| (name.to_owned(), page.field_value(name).unwrap());
    vec![field("id"), field("seal")]
}

/// Fills in a form and sends it, with the hidden fields that it came with.
async fn send(
    browser: &Browser,
    path: &str,
    form: &[(String, String)],
    typed: &[(&str, &str)],
) -> Answer {
    let hidden = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<(&str, &str)> = hidden.chain(typed.iter().copied()).collect();
    browser.post(path, &fields).await
}

/// The key that a page shows.
fn shown_key(page: &Answer) -> ApiKeyToken {
    ApiKeyToken::parse(page.element("key").unwrap()).unwrap()
}

async fn add_key(stage: &Stage, of: Option<&str>, name: &str) -> ApiKeyId {
    let now = stage.clock.now();
    let key = ApiKey {
        id: ApiKeyId::new(now, stage.random.as_ref()),
        name: name.to_owned(),
        company: of.map(company),
        scopes: vec![Scope::EventsWrite],
        expires: Some(now.plus_millis(DAY_MS)),
        created: now,
        last_used: None,
    };
    let (id, hash) = (key.id, ApiKeyToken::generate(stage.random.as_ref()).hash());
    stage
        .store
        .create_key(NewApiKey { key, hash }, &Actor::COMMAND)
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn a_companys_admin_makes_a_key_that_is_shown_once() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let list = admin.get("/portal/c/acme/keys").await.is(200);
    assert!(list.has("There is no API key yet."));
    let form = admin.get("/portal/c/acme/keys/new").await.is(200);
    for scope in Scope::ALL {
        assert!(form.has(&format!("value=\"{scope}\"")), "{scope}");
    }
    let fields = [
        ("name", "billing service"),
        ("scope", "events:write"),
        ("scope", "webhooks:read"),
        ("expiry", "30"),
    ];
    let made = send(&admin, NEW, &hidden(&form), &fields).await.is(200);
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(made.has("http://127.0.0.1:8080/api/v1/me"), "{made:?}");
    let token = shown_key(&made);
    let key = stage
        .store
        .key_by_hash(&token.hash())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(key.name, "billing service");
    assert_eq!(key.company, Some(company("acme")));
    assert_eq!(key.scopes, [Scope::EventsWrite, Scope::WebhooksRead]);
    assert_eq!(
        key.expires,
        Some(stage.clock.now().plus_millis(30 * DAY_MS))
    );
    let list = admin.get("/portal/c/acme/keys").await.is(200);
    assert!(list.has("billing service") && list.has("events:write"));
    assert!(!list.has(token.expose()), "a key is shown once");
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_key() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let fields = [("name", "twice"), ("scope", "admin"), ("expiry", "never")];
    for (base, of) in [
        (KEYS, Some(company("acme"))),
        ("/portal/platform/keys", None),
    ] {
        let new = format!("{base}/new");
        let form = hidden(&operator.get(&new).await.is(200));
        // The form that comes back for its mistakes makes the same key.
        let mistaken = send(&operator, &new, &form, &[("name", "")]).await.is(422);
        assert_eq!(hidden(&mistaken), form);
        let made = send(&operator, &new, &form, &fields).await.is(200);
        let token = shown_key(&made);
        // The page that shows it is loaded again: no second key, and the first is not shown.
        let again = send(&operator, &new, &form, &fields).await;
        again.leads_to(&format!("{base}?done=key-made"));
        let list = operator.get(again.location()).await.is(200);
        assert!(list.has("no second one was made") && !list.has(token.expose()));
        let live = stage.store.keys(None).await.unwrap();
        let [key] = live.try_into().unwrap();
        assert_eq!((key.name.as_str(), &key.company), ("twice", &of));
        // Nor is it there again when it was revoked meanwhile.
        let revoke = format!("{base}/{}/revoke", key.id);
        operator.post(&revoke, &[]).await.is(303);
        let again = send(&operator, &new, &form, &fields).await;
        again.leads_to(&format!("{base}?done=key-revoked"));
        assert!(stage.store.keys(None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_a_form_promises_it_promises_to_one_company_and_session() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let form = hidden(&operator.get(NEW).await.is(200));
    let fields = [("name", "x"), ("scope", "admin"), ("expiry", "never")];
    for elsewhere in ["/portal/c/globex/keys/new", "/portal/platform/keys/new"] {
        send(&operator, elsewhere, &form, &fields).await.is(400);
    }
    let admin = stage.admin("acme").await;
    admin.get(NEW).await.is(200);
    send(&admin, NEW, &form, &fields).await.is(400);
    admin.post(NEW, &fields).await.is(400);
    assert!(stage.store.keys(None).await.unwrap().is_empty());
    send(&operator, NEW, &form, &fields).await.is(200);
}

#[tokio::test]
async fn mistakes_are_told_at_their_fields_and_what_was_typed_stays() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await.is(200));
    let fields = [("name", ""), ("expiry", "date"), ("until", "2026-11-22")];
    let page = send(&admin, NEW, &form, &fields).await.is(422);
    for error in ["name-error", "scopes-error", "until-error"] {
        assert!(page.element(error).is_some(), "{error} in {page:?}");
    }
    assert_eq!(page.field_value("until").unwrap(), "2026-11-22");
    assert!(page.has("<option value=\"date\" selected>"), "{page:?}");
    let long = "x".repeat(101);
    let fields = [
        ("name", long.as_str()),
        ("scope", "admin"),
        ("expiry", "soon"),
    ];
    let page = send(&admin, NEW, &form, &fields).await.is(422);
    assert!(
        page.element("name-error")
            .unwrap()
            .contains("at most 100 characters")
    );
    assert!(page.element("expiry-error").is_some());
    assert!(page.has("value=\"admin\" checked"), "{page:?}");
    assert!(stage.store.keys(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_name_stays_text() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await.is(200));
    let name = "<img src=x onerror=alert(1)>\"'";
    let fields = [("name", name), ("scope", "admin"), ("expiry", "never")];
    let made = send(&admin, NEW, &form, &fields).await.is(200);
    let list = admin.get("/portal/c/acme/keys").await.is(200);
    let audit = admin.get("/portal/c/acme/audit").await.is(200);
    for page in [made, list, audit] {
        assert!(page.has("&#60;img src=x"), "{page:?}");
        assert!(!page.has("<img"), "{page:?}");
    }
    let form = hidden(&admin.get(NEW).await.is(200));
    let again = send(&admin, NEW, &form, &[("name", name)]).await.is(422);
    assert_eq!(again.field_value("name").unwrap(), name);
    assert!(!again.has("<img"));
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_gone_from_the_list() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let key = add_key(&stage, Some("acme"), "old service").await;
    let list = admin.get("/portal/c/acme/keys").await.is(200);
    assert!(list.has("Programs that use this key are refused at once."));
    let path = format!("/portal/c/acme/keys/{key}/revoke");
    let answer = admin.post(&path, &[]).await;
    answer.leads_to("/portal/c/acme/keys?done=key-revoked");
    let list = admin.get(answer.location()).await.is(200);
    assert!(list.has("The key is revoked.") && !list.has("old service"));
    assert!(stage.store.keys(None).await.unwrap().is_empty());
    admin.post(&path, &[]).await.is(404);
}

#[tokio::test]
async fn keys_of_others_are_out_of_reach() {
    let stage = Stage::new();
    let (theirs, platforms) = (
        add_key(&stage, Some("globex"), "their service").await,
        add_key(&stage, None, "platform service").await,
    );
    let admin = stage.admin("acme").await;
    let list = admin.get("/portal/c/acme/keys").await.is(200);
    assert!(!list.has("their service") && !list.has("platform service"));
    for key in [theirs, platforms] {
        admin
            .post(&format!("/portal/c/acme/keys/{key}/revoke"), &[])
            .await
            .is(404);
    }
    // The platform's page is about the platform's own.
    let operator = stage.operator().await;
    let list = operator.get("/portal/platform/keys").await.is(200);
    assert!(list.has("platform service") && !list.has("their service"));
    operator
        .post(&format!("/portal/platform/keys/{theirs}/revoke"), &[])
        .await
        .is(404);
    assert_eq!(stage.store.keys(None).await.unwrap().len(), 2);
    let answer = operator
        .post(&format!("/portal/platform/keys/{platforms}/revoke"), &[])
        .await;
    answer.leads_to("/portal/platform/keys?done=key-revoked");
    assert_eq!(stage.store.keys(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_operator_makes_keys_of_the_platform_and_of_companies() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let fields = [("name", "x"), ("scope", "admin"), ("expiry", "never")];
    for (path, of) in [
        ("/portal/platform/keys/new", None),
        ("/portal/c/acme/keys/new", Some(company("acme"))),
    ] {
        let form = hidden(&operator.get(path).await.is(200));
        let made = send(&operator, path, &form, &fields).await.is(200);
        let key = stage
            .store
            .key_by_hash(&shown_key(&made).hash())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(key.company, of);
        assert_eq!(key.expires, None);
    }
}

#[tokio::test]
async fn an_expired_key_says_so_and_a_used_one_when() {
    let stage = Stage::new();
    let viewer = stage.guest("acme", Role::Viewer).await;
    let key = add_key(&stage, Some("acme"), "service").await;
    let list = viewer.get("/portal/c/acme/keys").await.is(200);
    assert!(!list.has("expired") && list.has("never"), "{list:?}");
    assert!(!list.has("/revoke"), "a viewer revokes nothing");
    stage.store.touch_key(key, stage.clock.now());
    stage.clock.advance(DAY_MS - HOUR_MS);
    let viewer = stage.guest("acme", Role::Viewer).await;
    assert!(!viewer.get("/portal/c/acme/keys").await.has("expired"));
    stage.clock.advance(HOUR_MS);
    let list = viewer.get("/portal/c/acme/keys").await.is(200);
    assert!(
        list.has("<span class=\"badge bad\">expired</span>"),
        "{list:?}"
    );
}

#[tokio::test]
async fn many_keys_are_paged_and_a_page_stays_small() {
    let stage = Stage::new();
    for number in 0..70 {
        let name = format!("service {number:03} {}", "<".repeat(80));
        add_key(&stage, Some("acme"), &name).await;
        stage.clock.advance(1);
    }
    let admin = stage.admin("acme").await;
    let first = admin.get("/portal/c/acme/keys").await.is(200);
    assert!(first.has("service 069") && !first.has("service 039"));
    assert!(first.text.len() < 100_000, "{}", first.text.len());
    let last = admin.get("/portal/c/acme/keys?page=3").await.is(200);
    assert!(last.has("service 000") && !last.has("service 010"));
    assert!(last.has("?page=2") && !last.has("?page=4"));
}
