//! `tidings keys`: API keys, made directly on the database. That needs no running server and
//! disturbs none: whoever may write to the database owns what is in it anyway.

use std::{process::ExitCode, str::FromStr};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tidings_domain::{
    actor::Actor,
    api_key::{ApiKey, ApiKeyToken, KEY_NAME_CHARS_MAX, Scope},
    clock::Clock as _,
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};
use tidings_store::NewApiKey;

use crate::{
    clock::{SystemClock, SystemRandom},
    config::{ConfigFile, DatabaseConfig, Span},
    database,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings keys create --name ops                                  a platform key that may do all
  tidings keys create --name shop --company acme --scopes events:read,events:write
  export TIDINGS_API_KEY=$(tidings keys create --name ci --expires 90d)

The key is printed once, alone on standard output. Only its hash is stored.";

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key and print it, once
    #[command(after_help = EXAMPLES)]
    Create(CreateArgs),
}

/// Which key to make.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// A name by and for people
    #[arg(long, value_name = "NAME", default_value = "command line")]
    name: KeyName,

    /// Whose key it is; without it the platform's own, which may act for every company
    #[arg(long, value_name = "ID", value_parser = CompanyId::parse)]
    company: Option<CompanyId>,

    /// What it may do: events:read, events:write, webhooks:read, webhooks:write, admin
    ///
    /// webhooks:write includes webhooks:read; admin includes everything.
    #[arg(
        long,
        value_name = "SCOPES",
        default_value = "admin",
        value_delimiter = ',',
        value_parser = parse_scope
    )]
    scopes: Vec<Scope>,

    /// When it ends: a time from now like 90d, or an instant like 2027-01-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,

    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

/// A key's name, neither empty nor too long.
#[derive(Clone, Debug)]
struct KeyName(String);

/// When a key ends.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    At(UtcMillis),
    In(Span),
}

pub(super) async fn create(args: CreateArgs) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let random = SystemRandom::new();
    let expires = args.expires.map(|expiry| match expiry {
        Expiry::At(instant) => instant,
        Expiry::In(span) => now.plus_millis(span.as_ms()),
    });
    if expires.is_some_and(|end| end <= now) {
        bail!("--expires lies in the past");
    }
    let token = ApiKeyToken::generate(&random);
    let key = ApiKey {
        id: ApiKeyId::new(now, &random),
        name: args.name.0,
        company: args.company,
        scopes: args.scopes,
        expires,
        created: now,
        last_used: None,
    };
    let database = database::beside(&args.database, &random).await?;
    let new = NewApiKey {
        key: key.clone(),
        hash: token.hash(),
    };
    let stored = database.create_key(new, &Actor::COMMAND).await;
    stored.context("cannot store the key")?;
    tell(&key);
    println!("{}", token.expose());
    Ok(ExitCode::SUCCESS)
}

/// Explains the key on standard error; standard output has the key alone.
fn tell(key: &ApiKey) {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let owner = match &key.company {
        Some(company) => format!("of the company {company}"),
        None => "of the platform (it may act for every company)".to_owned(),
    };
    eprintln!("{} {:?}, {owner}: {}", key.id, key.name, scopes.join(", "));
    if let Some(end) = key.expires {
        eprintln!("It ends at {end}.");
    }
    eprintln!("This is the key. It is shown this once; send it as X-Api-Key:");
}

fn parse_scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word.trim()).ok_or_else(|| {
        let all: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("must be one of {}", all.join(", "))
    })
}

impl FromStr for KeyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if (1..=KEY_NAME_CHARS_MAX).contains(&name.chars().count()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!("must have 1 to {KEY_NAME_CHARS_MAX} characters"))
        }
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        UtcMillis::parse(text)
            .map(Self::At)
            .or_else(|_| text.parse().map(Self::In))
            .map_err(|_: <Span as FromStr>::Err| {
                "write a time from now like 90d, or an instant like 2027-01-01T00:00:00Z".to_owned()
            })
    }
}
