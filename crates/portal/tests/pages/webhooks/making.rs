//! Making a webhook.

use tidings_domain::{
    cursor::Order,
    subscription::{ManagedBy, MaxPerSecond, Subscription},
};
use tidings_store::SubscriptionBook as _;

use super::{URL, WEBHOOKS};
use crate::stage::{Answer, Stage, company};

const NEW: &str = "/portal/c/acme/webhooks/new";
const OWN_SECRET: &str = "my very own secret, 24+ characters";

/// The hidden fields of the form and others.
fn with<'a>(form: &'a [(String, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let hidden = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    hidden.chain(more.iter().copied()).collect()
}

fn hidden(page: &Answer) -> Vec<(String, String)> {
    let field = |name: &str| (name.to_owned(), page.field_value(name).unwrap());
    vec![field("id"), field("seal")]
}

async fn webhooks(stage: &Stage) -> Vec<Subscription> {
    let order = Order::Ascending;
    let acme = company("acme");
    let page = stage.store.subscriptions(&acme, order, None, 100).await;
    page.unwrap().subscriptions
}

#[tokio::test]
async fn a_new_one_shows_its_secret_once() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await.is(200));
    let typed = [
        ("url", " https://example.com/hook "),
        ("type", "client.created"),
        ("more_types", "Invoice.*, client.created"),
        ("description", "For the CRM"),
        ("max_per_second", "50"),
        ("enabled", "yes"),
    ];
    let fields = with(&form, &typed);
    let made = admin.post(NEW, &fields).await.is(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let secret = made.element("secret").unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert!(made.has("standardwebhooks") && made.has("/test\""));
    for snippet in [
        "import os\n",
        "Webhook(secret)",
        "new Webhook(secret);",
        "Webhook::new(&amp;secret)?",
    ] {
        assert!(made.has(snippet), "{snippet} in {}", made.text);
    }
    let [webhook] = webhooks(&stage).await.try_into().unwrap();
    assert_eq!(webhook.url.as_str(), URL);
    let patterns = webhook.event_types.patterns().iter();
    let patterns: Vec<String> = patterns.map(ToString::to_string).collect();
    assert_eq!(patterns, ["client.created", "invoice.*"]);
    assert_eq!(webhook.description.as_deref(), Some("For the CRM"));
    assert_eq!(webhook.max_per_second, MaxPerSecond::new(50).ok());
    assert!(webhook.enabled && webhook.managed_by == ManagedBy::Portal);
    assert_eq!(*stage.outbound.checked.lock(), [URL]);
    // The page that shows it is loaded again: no second webhook, no secret.
    let again = admin.post(NEW, &fields).await;
    let page = format!("{WEBHOOKS}/{}?done=webhook-created", webhook.id);
    again.leads_to(&page);
    assert!(!admin.get(&page).await.is(200).has(&secret));
    assert_eq!(webhooks(&stage).await.len(), 1);
    // Nor is it there again when it was deleted meanwhile.
    let delete = format!("{WEBHOOKS}/{}/delete", webhook.id);
    admin.post(&delete, &[]).await.is(303);
    let again = admin.post(NEW, &fields).await;
    again.leads_to(&format!("{WEBHOOKS}?done=webhook-deleted"));
    assert!(webhooks(&stage).await.is_empty());
}

#[tokio::test]
async fn what_a_form_promises_it_promises_to_one_company() {
    let stage = Stage::new();
    let operator = stage.operator().await;
    let form = hidden(&operator.get(NEW).await.is(200));
    let fields = with(&form, &[("url", URL), ("type", "client.created")]);
    let elsewhere = "/portal/c/globex/webhooks/new";
    operator.post(elsewhere, &fields).await.is(400);
    operator.post(NEW, &fields).await.is(201);
}

#[tokio::test]
async fn types_that_were_seen_are_offered() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    stage.publish("acme", "client.created", "{}").await;
    stage.publish("globex", "other.company", "{}").await;
    stage.subscribe("acme", URL, &["invoice.paid", "*"]).await;
    let page = admin.get(NEW).await.is(200);
    for value in [
        "client.created",
        "client.*",
        "invoice.paid",
        "invoice.*",
        "agreement.signed",
        "*",
    ] {
        assert!(
            page.has(&format!("value=\"{value}\"")),
            "{value} in {}",
            page.text
        );
    }
    assert!(!page.has("other.company"));
}

#[tokio::test]
async fn one_may_bring_a_secret_and_begin_disabled() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await);
    let typed = [("url", URL), ("type", "*"), ("secret", OWN_SECRET)];
    let made = admin.post(NEW, &with(&form, &typed)).await.is(201);
    assert_eq!(made.element("secret"), Some(OWN_SECRET));
    // Stock libraries take a secret for base64 unless they are told.
    for snippet in [
        "Webhook(secret.encode())",
        "new Webhook(secret, { format: \"raw\" })",
        "Webhook::from_bytes(secret.into_bytes())?",
    ] {
        assert!(made.has(snippet), "{snippet} in {}", made.text);
    }
    let [webhook] = webhooks(&stage).await.try_into().unwrap();
    assert!(!webhook.enabled);
}

#[tokio::test]
async fn all_mistakes_are_at_their_fields_and_what_was_typed_stays() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await);
    let long = "x".repeat(1001);
    let typed = [
        ("url", "http://example.com/\"><script>alert(1)</script>"),
        ("type", "client.*"),
        ("more_types", "a..b <script>"),
        ("description", long.as_str()),
        ("max_per_second", "0"),
        ("secret", "too short <i>"),
    ];
    let page = admin.post(NEW, &with(&form, &typed)).await.is(422);
    for (id, said) in [
        ("url-error", "URL must begin with https://"),
        ("types-error", "a..b, &#60;script&#62;"),
        (
            "description-error",
            "Description must be at most 1000 characters.",
        ),
        (
            "max_per_second-error",
            "must be an integer from 1 to 10000.",
        ),
        ("secret-error", "24 to 128 printable ASCII"),
    ] {
        let mistake = page.element(id).unwrap_or_default();
        assert!(mistake.contains(said), "{id}: {mistake}");
    }
    assert_eq!(page.text.matches("aria-invalid=\"true\"").count(), 5);
    assert_eq!(page.field_value("url").as_deref(), Some(typed[0].1));
    assert_eq!(
        page.field_value("more_types").as_deref(),
        Some("a..b <script>")
    );
    assert!(page.has("value=\"client.*\" checked") && page.has(&long));
    assert!(
        !page.has("<script>alert") && !page.has("too short"),
        "{}",
        page.text
    );
    assert!(webhooks(&stage).await.is_empty());
    // The form that came back still works.
    let typed = [("url", URL), ("type", "client.*")];
    let form = hidden(&page);
    admin.post(NEW, &with(&form, &typed)).await.is(201);
}

#[tokio::test]
async fn a_refused_target_says_why() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await);
    let reason = "10.0.0.7 is not a public address (private, 10.0.0.0/8)";
    *stage.outbound.refusal.lock() = Some(reason.to_owned());
    let typed = [("url", URL), ("type", "*")];
    let page = admin.post(NEW, &with(&form, &typed)).await.is(422);
    assert!(page.element("url-error").unwrap().contains(reason));
    let check = "/portal/c/acme/webhooks/check-url";
    let said = admin.post(check, &[("url", URL)]).await.is(200);
    assert_eq!(said.header("content-type"), "application/json");
    assert!(
        said.has("\"fine\":false") && said.has(reason),
        "{}",
        said.text
    );
    *stage.outbound.refusal.lock() = None;
    let said = admin.post(check, &[("url", URL)]).await.is(200);
    assert!(said.has("\"fine\":true"), "{}", said.text);
    let said = admin.post(check, &[("url", "nonsense")]).await.is(200);
    assert!(
        said.has("\"fine\":false") && said.has("absolute URL"),
        "{}",
        said.text
    );
}

#[tokio::test]
async fn an_id_that_we_did_not_give_out_is_refused() {
    let stage = Stage::new();
    let admin = stage.admin("acme").await;
    let form = hidden(&admin.get(NEW).await);
    let theirs = stage.subscribe("globex", URL, &["*"]).await.to_string();
    let typed = [
        ("id", theirs.as_str()),
        ("seal", form[1].1.as_str()),
        ("url", URL),
        ("type", "*"),
    ];
    admin.post(NEW, &typed).await.is(400);
    // Nor does another session's form do.
    let other = stage.admin("acme").await;
    other.get(NEW).await;
    other
        .post(NEW, &with(&form, &[("url", URL), ("type", "*")]))
        .await
        .is(400);
    assert!(webhooks(&stage).await.is_empty());
}
