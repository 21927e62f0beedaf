//! `tidings serve`: runs a node until a signal ends it.

use std::{io::IsTerminal as _, process::ExitCode, sync::Arc};

use anyhow::bail;

use crate::{
    clock::{SystemClock, SystemRandom},
    config::{self, ServeConfig},
    lifecycle::{self, StopSignals},
    node::{Node, Surroundings},
    setup_link::SETUP_HOURS,
    terminal::{Paint, colours_on},
};

pub(super) const ABOUT: &str = "\
Run the server.

It listens on 127.0.0.1:8080 and stores everything in the file tidings.db, made on first start \
together with tidings.db.key, the key that encrypts signing secrets: back both up. Every setting can \
be given as a flag, as an environment variable, or in tidings.toml, in this order of precedence.

Its portal is at /portal: for the admins of companies, who come by a link of your product, and for \
you. As long as nobody can sign in there, each start shows a link that makes the first user.

With --database postgres://… any number of servers share one PostgreSQL and are all equal: publish to \
and poll from whichever you reach. Where one crashes, the others take its deliveries over.

SIGTERM or Ctrl-C stops it: no new attempts, those in flight finish, exit within 15 s. A second one \
ends it at once; nothing is lost even so, an attempt that was cut off is made again.";

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings serve
  tidings serve --environment development            try it with http and localhost
  tidings serve --listen 0.0.0.0:8080 --database sqlite:/var/lib/tidings/tidings.db
  TIDINGS_BOOTSTRAP_KEY=tdg_… tidings serve          with a platform admin key from the start
  tidings serve --config /etc/tidings.toml

Many servers on one PostgreSQL, each started with the same two secrets:
  export TIDINGS_DATABASE=postgres://tidings:PASSWORD@db.example.com/tidings?sslmode=require
  export TIDINGS_ENCRYPTION_KEY=…                    made once: openssl rand -base64 32
  tidings serve --listen 0.0.0.0:8080

A file tidings.toml:
  listen = \"0.0.0.0:8080\"
  database = \"sqlite:/var/lib/tidings/tidings.db\"
  event-retention = \"90d\"
  block-address = [\"203.0.113.0/24\"]

Then: tidings keys create --name me; /portal shows everything, /docs describes the API, /readyz \
and /metrics watch it.";

pub(super) async fn run(config: ServeConfig) -> anyhow::Result<ExitCode> {
    config.log.start();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in config::unknown_variables(names) {
        tracing::warn!(name, "there is no such setting; see tidings serve --help");
    }
    lifecycle::raise_open_files_limit();
    let mut signals = StopSignals::listen()?;
    let surroundings = Surroundings {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom::new()),
    };
    let mut node = tokio::select! {
        node = Node::start(&config, surroundings) => node?,
        // Nothing was begun that would have to be finished.
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let setup = offer_setup(&node).await;
    greet(&node, &config, setup.as_deref());
    let signal = tokio::select! {
        signal = signals.next() => signal,
        () = node.broken() => {
            // What is left of it is in no state to be stopped gently; a supervisor starts anew.
            bail!("the dispatcher has ended by itself; its error is in the log above");
        }
    };
    tracing::info!(
        signal = signal.name(),
        "stopping: finishing what is in flight"
    );
    signals.end_at_next();
    node.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A link by which the portal's first user is made, told in the log; none where there is a user.
async fn offer_setup(node: &Node) -> Option<String> {
    match node.offer_setup().await {
        Ok(Some(link)) => {
            tracing::info!(
                link,
                hours = SETUP_HOURS,
                "nobody can sign in to the portal yet: this link, good once, makes the first user"
            );
            Some(link)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::warn!(
                %error,
                "could not make a link for the portal's first user; tidings users create makes one"
            );
            None
        }
    }
}

/// Tells where the server is: as a line of the log, and to a person at a terminal what to do next.
fn greet(node: &Node, config: &ServeConfig, setup: Option<&str>) {
    let address = node.address();
    let environment = config.target.environment.as_str();
    let database = node.database();
    tracing::info!(
        listen = %address,
        metrics_listen = node.metrics_address().map(|address| address.to_string()),
        public_url = %node.public_url(),
        database,
        environment,
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
    let terminal = std::io::stderr();
    if !terminal.is_terminal() {
        return;
    }
    let paint = Paint::new(colours_on(&terminal));
    let rows = [
        ("API", format!("http://{address}")),
        ("Docs", format!("http://{address}/docs")),
        ("Portal", format!("{}/portal", node.public_url())),
        ("Database", database.to_owned()),
        ("Environment", environment.to_owned()),
        ("First key", "tidings keys create --name me".to_owned()),
    ];
    eprintln!("\n  {}", paint.bold("Tidings is ready"));
    for (label, text) in rows {
        eprintln!("  {:<12} {text}", paint.dim(label));
    }
    if let Some(link) = setup {
        eprintln!("  {:<12} {link}", paint.dim("First user"));
        let limits = format!("good once, within {SETUP_HOURS} hours");
        eprintln!("  {:<12} {}", "", paint.dim(limits));
    }
    eprintln!("  {:<12} Ctrl-C\n", paint.dim("Stop"));
}
