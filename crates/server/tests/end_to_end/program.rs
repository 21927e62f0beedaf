//! The binary: started with a clean environment, watched, ended.

use std::{
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    http_client::{Call, HttpClient},
    scratch::{PATIENCE, until},
};

/// The platform's key in these tests.
pub(crate) const BOOTSTRAP_KEY: &str = "tdg_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// Everybody's company.
pub(crate) const COMPANY: &str = "acme";

/// A running `tidings serve`, killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) json: Value,
}

/// The program with nothing of this process's environment but the path.
pub(crate) fn tidings(directory: &Path) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_tidings")), directory)
}

/// Cleans a command's environment and lets it end with the test.
pub(crate) fn clean(mut command: Command, directory: &Path) -> Command {
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end, with `input` on standard input.
pub(crate) async fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read its input closes the pipe; that is its right.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the program ends")
        .unwrap()
}

/// What went to an output, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `serve` in development on a free port, with the bootstrap key.
pub(crate) fn serve(directory: &Path, args: &[&str]) -> Command {
    let mut command = tidings(directory);
    command
        .arg("serve")
        .args(args)
        .env("TIDINGS_LISTEN", "127.0.0.1:0")
        .env("TIDINGS_ENVIRONMENT", "development")
        .env("TIDINGS_BOOTSTRAP_KEY", BOOTSTRAP_KEY);
    command
}

impl Server {
    /// Starts `serve` and waits until it is ready.
    pub(crate) async fn start(directory: &Path, args: &[&str]) -> Self {
        Self::of(serve(directory, args)).await
    }

    /// Starts a command that becomes a server and waits until it is ready.
    pub(crate) async fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        };
        let address = until("the server's start", async || {
            assert!(!reader.is_finished(), "it ended: {}", log.lock().unwrap());
            ready_address(&log.lock().unwrap())
        })
        .await;
        Self {
            child,
            address,
            log,
            reader,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A client with the platform's key.
    pub(crate) fn client(&self) -> HttpClient {
        HttpClient::new(&self.url(), Some(BOOTSTRAP_KEY)).unwrap()
    }

    /// The body of a GET.
    pub(crate) async fn text(&self, path: &str) -> String {
        text(self.client().send(Call::get(path)).await.unwrap().body())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Call::get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, json: &Value) -> Answer {
        self.call(Call::post(path, json.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        let mut call = Call::get(path);
        call.method = Method::DELETE;
        self.call(call).await
    }

    async fn call(&self, call: Call<'_>) -> Answer {
        let answer = self.client().send(call).await.unwrap();
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    /// Makes a subscription to everything; gives its id and secret.
    pub(crate) async fn subscribe(&self, url: &str) -> (String, String) {
        let wish = json!({"companyId": COMPANY, "url": url, "eventTypes": ["*"]});
        let answer = self.post("/api/v1/webhooks/subscriptions", &wish).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        let field = |name: &str| answer.json[name].as_str().unwrap().to_owned();
        (field("id"), field("secret"))
    }

    /// Publishes an event; the answer may be a refusal.
    pub(crate) async fn publish(&self, payload: &Value) -> Answer {
        let event = json!({"companyId": COMPANY, "type": "test.happened", "payload": payload});
        self.post("/api/v1/events", &event).await
    }

    /// The ids of all events of the company, read by following the cursor from the start.
    pub(crate) async fn poll_all(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut path = format!("/api/v1/events?companyId={COMPANY}&limit=100");
        loop {
            let page = self.get(&path).await;
            assert_eq!(page.status, 200, "{}", page.json);
            let events = page.json.as_array().unwrap();
            ids.extend(
                events
                    .iter()
                    .map(|event| event["id"].as_str().unwrap().to_owned()),
            );
            if page.headers["x-paging-has-more"] == "false" {
                return ids;
            }
            let cursor = page.headers["x-paging-cursor"].to_str().unwrap();
            path = format!("/api/v1/events?companyId={COMPANY}&limit=100&cursor={cursor}");
        }
    }

    pub(crate) async fn put(&self, path: &str, json: &Value) -> Answer {
        let mut call = Call::post(path, json.to_string());
        call.method = Method::PUT;
        self.call(call).await
    }

    /// Takes nothing of its log any more, like a log shipper that died.
    pub(crate) async fn go_deaf(&mut self) {
        self.reader.abort();
        // It was told to end, so what it says to that is no news.
        let _ = (&mut self.reader).await;
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub(crate) async fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("the server ends").unwrap();
        if !self.reader.is_finished() {
            let _ = timeout(PATIENCE, &mut self.reader).await;
        }
        status
    }

    /// Ends it as a supervisor would, and well.
    pub(crate) async fn stop(mut self) -> String {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.log()
    }
}

/// The address in the log's line that says it is ready.
fn ready_address(log: &str) -> Option<SocketAddr> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["message"] == "ready")?["listen"]
        .as_str()?
        .parse()
        .ok()
}
