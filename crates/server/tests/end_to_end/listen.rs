//! `tidings listen`: events come to a local program as webhooks would, through restarts of the
//! server, each once.

use std::{process::Stdio, sync::Arc, sync::Mutex};

use serde_json::json;
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    net::TcpListener,
    process::Child,
};

use crate::{
    program::{BOOTSTRAP_KEY, COMPANY, Server, run, serve, text, tidings},
    receiver::Receiver,
    scratch::{Scratch, until},
};

/// The running command, killed when dropped, and everything it said.
struct Listening {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Listening {
    fn start(scratch: &Scratch, server: &Server, forward_to: &str, args: &[&str]) -> Self {
        let mut command = tidings(scratch.path());
        command
            .args(["listen", "--company", COMPANY, "--forward-to", forward_to])
            .args(["--server", &server.url()])
            .args(args)
            .env("TIDINGS_API_KEY", BOOTSTRAP_KEY);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&said));
        collect(child.stderr.take().unwrap(), Arc::clone(&said));
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn says(&self, text: &str) -> String {
        until(text, async || {
            Some(self.said()).filter(|said| said.contains(text))
        })
        .await
    }
}

fn collect(output: impl AsyncRead + Unpin + Send + 'static, said: Arc<Mutex<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}

async fn until_streaming(server: &Server) {
    until("the stream's start", async || {
        let metrics = server.text("/metrics").await;
        metrics.contains("tidings_api_streams 1\n").then_some(())
    })
    .await;
}

async fn publish(server: &Server, numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut ids = Vec::new();
    for number in numbers {
        let answer = server.publish(&json!({"number": number})).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        ids.push(answer.json["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn events_come_signed_once_and_in_order_through_a_restart() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    publish(&server, 0..2).await;
    let receiver = Receiver::accepting().await;
    let listening = Listening::start(&scratch, &server, receiver.url(), &[]);
    until_streaming(&server).await;
    let mut ids = publish(&server, 2..7).await;
    receiver.wait_for(5).await;

    // Gone without a word, and back at the same address.
    let address = server.address().to_string();
    server.signal("KILL").await;
    drop(server);
    let mut again = serve(scratch.path(), &[]);
    again.env("TIDINGS_LISTEN", &address);
    let server = Server::of(again).await;
    ids.extend(publish(&server, 7..12).await);
    let arrived = receiver.wait_for(10).await;
    let came: Vec<&str> = arrived.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(came, ids);

    let said = listening.said();
    let secret = said
        .lines()
        .find_map(|line| line.strip_prefix("Signing secret: "));
    let webhook = Webhook::new(secret.unwrap()).unwrap();
    for one in &arrived {
        webhook.verify(&one.body, &one.headers).unwrap();
        assert_eq!(one.header("x-webhook-event"), "test.happened");
        assert_eq!(one.header("x-webhook-attempt"), "1");
    }
    assert!(said.contains("  200 ") && said.contains(&ids[0]), "{said}");
    assert!(said.contains("The stream broke"), "{said}");
}

#[tokio::test]
async fn an_event_waits_until_the_local_program_is_there() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    publish(&server, 0..1).await;
    // An address at which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let url = format!("http://{address}/hook");
    let args = ["--since", "1h", "--type", "test.*"];
    let listening = Listening::start(&scratch, &server, &url, &args);
    let said = listening.says("Nobody listens at").await;
    assert!(said.contains(&url) && said.contains("Start it"), "{said}");

    let (tell, told) = tokio::sync::oneshot::channel();
    let listener = TcpListener::bind(address).await.unwrap();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let router = axum::Router::new().fallback(async move |body: String| {
        if let Some(tell) = tell.lock().unwrap().take() {
            tell.send(body).unwrap();
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    assert!(told.await.unwrap().contains("\"number\":0"));
    listening.says("  200 ").await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_ends_it() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    for (key, args, told) in [
        ("tdg_AAAA", &[][..], "401"),
        (BOOTSTRAP_KEY, &["--type", "no type"], "/type"),
        (BOOTSTRAP_KEY, &[], "/companyId"),
    ] {
        let mut command = tidings(scratch.path());
        command
            .args(["listen", "--forward-to", "http://127.0.0.1:9/"])
            .args(["--server", &server.url()])
            .args(args)
            .env("TIDINGS_API_KEY", key);
        let ended = run(command, b"").await;
        assert!(!ended.status.success());
        let said = text(&ended.stderr);
        assert!(said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn a_failing_program_is_told_and_the_next_event_follows() {
    let scratch = Scratch::new();
    let server = Server::start(scratch.path(), &[]).await;
    publish(&server, 0..2).await;
    let receiver = Receiver::answering(|number| if number == 0 { 500 } else { 204 }).await;
    let mut listening = Listening::start(&scratch, &server, receiver.url(), &["--since", "1h"]);
    listening.says("  204 ").await;
    assert!(listening.said().contains("  500 "));
    assert_eq!(receiver.received().len(), 2);
    listening.child.kill().await.unwrap();
}
