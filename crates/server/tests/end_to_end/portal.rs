//! The portal as the program serves it: beside the API, at its public URL, for whom it lets in.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    home::{Home, on_both},
    http_client::{Call, HttpClient},
    program::{COMPANY, Server, run, serve, text},
    scratch::Scratch,
};

/// Looks at a page without a session.
async fn page(server: &Server, path: &str) -> (StatusCode, HeaderMap, String) {
    let client = HttpClient::new(&server.url(), None).unwrap();
    let answer = client.send(Call::get(path)).await.unwrap();
    let (head, body) = answer.into_parts();
    (head.status, head.headers, text(&body))
}

/// Asks for a link into the portal, as a product does.
async fn link(server: &Server) -> String {
    let wish = json!({"companyId": COMPANY, "role": "viewer"});
    let answer = server.post("/api/v1/portal/sessions", &wish).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    answer.json["url"].as_str().unwrap().to_owned()
}

/// The link that makes the first user, as the log of a started server tells it.
fn setup_link(log: &str) -> Option<String> {
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut links = entries.filter_map(|entry| entry["link"].as_str().map(str::to_owned));
    let link = links.next();
    assert!(links.next().is_none(), "{log}");
    link
}

on_both!(a_link_lets_somebody_in_once);

async fn a_link_lets_somebody_in_once(home: Home) {
    let server = home.start(&[]).await;
    let link = link(&server).await;
    let path = link.strip_prefix(&server.url()).unwrap();
    assert!(path.starts_with("/portal/enter/"), "{link}");
    let (status, headers, _) = page(&server, path).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers[header::LOCATION], format!("/portal/c/{COMPANY}"));
    let cookie = headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let (status, headers, _) = page(&server, path).await;
    assert!(status.is_client_error(), "{status}");
    assert!(!headers.contains_key(header::SET_COOKIE));
    server.stop().await;
}

on_both!(each_start_offers_to_make_the_first_user_until_there_is_one);

async fn each_start_offers_to_make_the_first_user_until_there_is_one(home: Home) {
    let mut links = Vec::new();
    for _ in 0..2 {
        let server = home.start(&[]).await;
        let link = setup_link(&server.log()).unwrap();
        let path = link.strip_prefix(&server.url()).unwrap();
        assert!(path.starts_with("/portal/setup/"), "{link}");
        let (status, _, _) = page(&server, path).await;
        assert_eq!(status, StatusCode::OK);
        links.push(path.to_owned());
        server.stop().await;
    }
    assert_ne!(links[0], links[1]);
    let mut command = home.command(&["users", "create", "--email=ada@example.com"]);
    command.arg("--password-stdin");
    let made = run(command, b"correct horse battery").await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let server = home.start(&[]).await;
    assert_eq!(setup_link(&server.log()), None);
    for path in links {
        let (status, _, _) = page(&server, &path).await;
        assert!(status.is_client_error(), "{status}");
    }
    server.stop().await;
}

#[tokio::test]
async fn links_and_cookies_are_for_the_public_url() {
    let scratch = Scratch::new();
    let args = ["--public-url=https://Hooks.example.com:443/"];
    let server = Server::start(scratch.path(), &args).await;
    let link = link(&server).await;
    let path = link.strip_prefix("https://hooks.example.com").unwrap();
    let (_, headers, _) = page(&server, path).await;
    let cookie = headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("; Secure"),
        "{cookie}"
    );
    let log = server.stop().await;
    let setup = setup_link(&log).unwrap();
    assert!(
        setup.starts_with("https://hooks.example.com/portal/setup/"),
        "{setup}"
    );
}

#[tokio::test]
async fn frames_are_for_the_origins_that_were_named() {
    let scratch = Scratch::new();
    let ancestors = async |args: &[&str]| {
        let server = Server::start(scratch.path(), args).await;
        let (_, headers, _) = page(&server, "/portal/sign-in").await;
        server.stop().await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let ancestors = policy.split_once("frame-ancestors ").unwrap().1;
        ancestors.to_owned()
    };
    assert_eq!(ancestors(&[]).await, "'none'");
    let named = "--portal-frame-origin=https://app.example.com,http://localhost:3000/";
    let expected = "https://app.example.com http://localhost:3000";
    assert_eq!(ancestors(&[named]).await, expected);
}

#[tokio::test]
async fn api_and_portal_each_answer_for_what_they_do_not_have() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    let content_type = async |path: &str| {
        let (status, headers, _) = page(&server, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        let value = headers[header::CONTENT_TYPE].to_str().unwrap();
        value.to_owned()
    };
    assert_eq!(content_type("/portals").await, "application/problem+json");
    assert!(
        content_type("/portal/assets/none")
            .await
            .starts_with("text/html")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_origin_or_range_is_refused() {
    let scratch = Scratch::new();
    for (flag, expected) in [
        (
            "--public-url=hooks.example.com",
            "https://hooks.example.com",
        ),
        (
            "--public-url=https://example.com/tidings",
            "https://hooks.example.com",
        ),
        (
            "--portal-frame-origin=https://*.example.com",
            "https://hooks.example.com",
        ),
        (
            "--portal-frame-origin=https://a.example;sandbox",
            "https://hooks.example.com",
        ),
        ("--trusted-proxy=proxy.example.com", "10.20.0.0/16"),
    ] {
        let output = run(serve(scratch.path(), &[flag]), b"").await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}: {said}");
        assert!(said.contains(expected), "{flag}: {said}");
    }
    std::fs::write(scratch.file("tidings.toml"), "public-url = \"ftp://x\"").unwrap();
    let said = crate::startup::refused(serve(scratch.path(), &[])).await;
    assert!(
        said.contains("tidings.toml: public-url cannot be \"ftp://x\""),
        "{said}"
    );
}
