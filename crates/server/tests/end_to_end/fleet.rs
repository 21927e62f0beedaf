//! Several servers on one database of PostgreSQL, under load: publishers that go on at the next
//! server where one does not take their event, and the account of what they were promised.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    home::Home,
    http_client::{Call, HttpClient},
    program::{COMPANY, Server},
    receiver::Receiver,
    scratch::until,
};

/// How often each publisher publishes.
const PERIOD: Duration = Duration::from_millis(20);

/// The servers. A place is empty while its server is down.
pub(crate) struct Fleet {
    home: Home,
    args: Vec<String>,
    servers: Vec<Option<Server>>,
    doors: Doors,
}

/// Where each server is, or was last.
#[derive(Clone)]
struct Doors(Arc<Mutex<Vec<HttpClient>>>);

/// Publishers at work.
pub(crate) struct Load {
    publishers: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    account: Arc<Mutex<Account>>,
}

/// What publishers were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// What was answered 201, and when.
    pub(crate) promised: Vec<(String, Instant)>,
    /// How often it was said to come again later.
    pub(crate) refused: usize,
    /// The longest that any publisher went without being promised anything.
    pub(crate) longest_pause: Duration,
}

impl Fleet {
    /// Starts so many servers at the same time, each with these arguments.
    pub(crate) async fn start(home: Home, count: usize, args: &[&str]) -> Self {
        let starting: Vec<_> = (0..count)
            .map(|_| tokio::spawn(Server::of(home.serve(args))))
            .collect();
        let mut servers = Vec::new();
        for server in starting {
            servers.push(Some(server.await.unwrap()));
        }
        let clients = servers.iter().flatten().map(Server::client).collect();
        Self {
            home,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            servers,
            doors: Doors(Arc::new(Mutex::new(clients))),
        }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The server at a place, which must be up.
    pub(crate) fn server(&self, place: usize) -> &Server {
        self.servers[place].as_ref().expect("it is up")
    }

    /// All that are up.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, place: usize) {
        let mut server = self.servers[place].take().expect("it is up");
        server.signal("KILL").await;
        server.ended().await;
    }

    /// SIGTERM, and a good end.
    pub(crate) async fn stop(&mut self, place: usize) {
        self.servers[place].take().expect("it is up").stop().await;
    }

    /// Starts a server at an empty place.
    pub(crate) async fn start_again(&mut self, place: usize) {
        assert!(self.servers[place].is_none());
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        let server = self.home.start(&args).await;
        self.doors.0.lock().unwrap()[place] = server.client();
        self.servers[place] = Some(server);
    }

    /// Stops all.
    pub(crate) async fn end(mut self) {
        for place in 0..self.servers.len() {
            if self.servers[place].is_some() {
                self.stop(place).await;
            }
        }
    }

    /// Sets so many publishers to work.
    pub(crate) fn load(&self, publishers: usize) -> Load {
        let stop = CancellationToken::new();
        let account = Arc::<Mutex<Account>>::default();
        let publishers = (0..publishers).map(|number| {
            tokio::spawn(publish(
                self.doors.clone(),
                number,
                Arc::clone(&account),
                stop.clone(),
            ))
        });
        Load {
            publishers: publishers.collect(),
            stop,
            account,
        }
    }

    /// Checks that every promise was kept: what was acknowledged is in the log once, all that is
    /// in the log was accepted by the receiver, and then nothing is owed any more.
    pub(crate) async fn keeps_its_promises(&self, account: &Account, receiver: &Receiver) {
        let mut all = None;
        for server in self.servers() {
            let polled = server.poll_all().await;
            let distinct: HashSet<_> = polled.iter().cloned().collect();
            assert_eq!(
                distinct.len(),
                polled.len(),
                "the cursor gave an event twice"
            );
            let is_lost = |(id, _): &&(String, Instant)| !distinct.contains(id);
            let lost: Vec<_> = account.promised.iter().filter(is_lost).collect();
            assert!(
                lost.is_empty(),
                "acknowledged, and not in the log: {lost:?}"
            );
            let before = all.get_or_insert_with(|| polled.clone());
            assert_eq!(*before, polled, "all servers tell the same");
        }
        let all = all.expect("a server is up");
        until("the last delivery", async || {
            let accepted = receiver.accepted();
            all.iter().all(|id| accepted.contains(id)).then_some(())
        })
        .await;
        for server in self.servers() {
            until("the end of what is owed", async || {
                let shown = server.text("/metrics").await;
                shown.contains("tidings_queue_deliveries 0").then_some(())
            })
            .await;
        }
    }
}

impl Load {
    /// What was told so far.
    pub(crate) fn account(&self) -> Account {
        self.account.lock().unwrap().clone()
    }

    /// Waits until so many more events were acknowledged.
    pub(crate) async fn more_promises(&self, count: usize) {
        let count_now = || self.account.lock().unwrap().promised.len();
        let enough = count_now() + count;
        until("enough load", async || {
            (count_now() >= enough).then_some(())
        })
        .await;
    }

    /// Waits until so many more requests were refused.
    pub(crate) async fn more_refusals(&self, count: usize) {
        let count_now = || self.account.lock().unwrap().refused;
        let enough = count_now() + count;
        until("enough refusals", async || {
            (count_now() >= enough).then_some(())
        })
        .await;
    }

    /// Lets the publishers finish.
    pub(crate) async fn end(self) -> Account {
        self.stop.cancel();
        for publisher in self.publishers {
            publisher.await.unwrap();
        }
        self.account.lock().unwrap().clone()
    }
}

impl Account {
    /// The ids of what was promised.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.promised.iter().map(|(id, _)| id)
    }
}

/// Publishes until it is told to stop, at the first server that takes it.
async fn publish(
    doors: Doors,
    number: usize,
    account: Arc<Mutex<Account>>,
    stop: CancellationToken,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut door = number;
    let mut promised_last = Instant::now();
    while !stop.is_cancelled() {
        ticks.tick().await;
        let clients = doors.0.lock().unwrap().clone();
        for _ in 0..clients.len() {
            let told = publish_at(&clients[door % clients.len()]).await;
            let mut account = account.lock().unwrap();
            match told {
                Told::Promised(id) => {
                    let now = Instant::now();
                    account.promised.push((id, now));
                    let pause = now.duration_since(promised_last);
                    account.longest_pause = account.longest_pause.max(pause);
                    promised_last = now;
                    break;
                }
                Told::ComeAgain => account.refused += 1,
                Told::Nothing => {}
            }
            door += 1;
        }
    }
}

/// What became of one request.
enum Told {
    /// 201, with the event's id.
    Promised(String),
    /// 503, with the time to come again.
    ComeAgain,
    /// The connection was refused, or broke: nothing was promised.
    Nothing,
}

async fn publish_at(client: &HttpClient) -> Told {
    let event = json!({"companyId": COMPANY, "type": "load.made", "payload": {"a": 1}});
    let call = Call::post("/api/v1/events", event.to_string());
    let Ok(answer) = client.send(call).await else {
        return Told::Nothing;
    };
    let body = String::from_utf8_lossy(answer.body());
    match answer.status().as_u16() {
        201 => {
            let event: Value = serde_json::from_str(&body).unwrap();
            Told::Promised(event["id"].as_str().unwrap().to_owned())
        }
        503 => {
            assert!(answer.headers().contains_key("retry-after"), "{body}");
            Told::ComeAgain
        }
        other => panic!("{other}: {body}"),
    }
}
