//! Settings of the store: which database, which key, how long things are kept.

#![expect(
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::anyhow;
use clap::Args;
use tidings_store::Retention;

use super::{database_url::DatabaseUrl, secret_text::SecretText, span::Keep};

/// Where everything is stored.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct DatabaseConfig {
    /// Where everything is stored: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE
    /// [default: sqlite:tidings.db]
    ///
    /// sqlite:PATH is one file for one server, made on first start. Beside it stand PATH.key (the
    /// encryption key, unless TIDINGS_ENCRYPTION_KEY is given) and PATH.lock. Back the file up with
    /// `sqlite3 PATH ".backup COPY"` while the server runs, or copy it when it does not.
    ///
    /// postgres://… is a database of PostgreSQL 14 or later that any number of servers share. Make
    /// it with `createdb --owner=USER --encoding=UTF8 --template=template0 tidings`; the tables are
    /// made on first start. Give every server the same address and the same TIDINGS_ENCRYPTION_KEY. With ?sslmode=require it speaks TLS or not at
    /// all, without it TLS where PostgreSQL offers it, with ?sslmode=disable never. Others on the
    /// machine can see flags: give an address with a password as TIDINGS_DATABASE or in the file,
    /// or leave it out and set PGPASSWORD.
    ///
    /// Examples: sqlite:tidings.db, sqlite:/var/lib/tidings/tidings.db,
    /// postgres://tidings@db.example.com/tidings?sslmode=require
    #[arg(
        long,
        env = "TIDINGS_DATABASE",
        value_name = "URL",
        default_value = "sqlite:tidings.db",
        hide_env_values = true,
        hide_default_value = true
    )]
    database: DatabaseText,

    /// A PEM file with certificates of authorities to trust for PostgreSQL beside the system's
    ///
    /// Certificates are always checked where TLS is spoken.
    #[arg(long, env = "TIDINGS_DATABASE_ROOT_CA", value_name = "FILE")]
    pub(crate) database_root_ca: Option<PathBuf>,

    /// The key under which signing secrets are encrypted at rest: base64 of 32 bytes
    ///
    /// Either alphabet, padded or not. With SQLite it may be left out: then the key is read from the
    /// file PATH.key beside the database, and made there on first start. With PostgreSQL it must be
    /// given, the same to every server. Prefer the environment variable: others on the machine can
    /// see flags. Losing the key means losing the signing secrets; changing it is an error at start.
    ///
    /// To make one: openssl rand -base64 32
    #[arg(
        long,
        env = "TIDINGS_ENCRYPTION_KEY",
        value_name = "BASE64",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub(crate) encryption_key: Option<SecretText>,
}

/// How many connections a server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections(pub(crate) usize);

/// How long things are kept.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct RetentionConfig {
    /// How long events are kept: a time like 30d, or forever
    ///
    /// An event that is still owed to somebody stays until that is settled. PostgreSQL drops whole
    /// days, so there it may be a day more.
    #[arg(
        long,
        env = "TIDINGS_EVENT_RETENTION",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub(crate) event_retention: Keep,

    /// How long the delivery log is kept: a time like 30d, or forever
    ///
    /// PostgreSQL drops whole days, so there it may be a day more.
    #[arg(
        long,
        env = "TIDINGS_LOG_RETENTION",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub(crate) log_retention: Keep,
}

/// How much of a shared database a server takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct ConnectionsConfig {
    /// How many connections to PostgreSQL this server may have, at least 4
    ///
    /// One writes, one listens to the other servers, two (of fewer than six, one) are kept for what
    /// deliveries depend on, and the rest are lent to whoever reads or changes something: what finds
    /// none free for 5 s is answered with 503. All servers together must stay below PostgreSQL's
    /// max_connections.
    #[arg(
        long,
        env = "TIDINGS_DATABASE_CONNECTIONS",
        value_name = "N",
        default_value = "10"
    )]
    pub(crate) database_connections: Connections,
}

/// The database's address as it was given; not shown, as it may hold a password.
#[derive(Clone)]
pub(crate) struct DatabaseText(String);

impl DatabaseConfig {
    /// Which database it is. An error says which there are, and repeats nothing of the address.
    pub(crate) fn url(&self) -> anyhow::Result<DatabaseUrl> {
        DatabaseUrl::parse(&self.database.0, std::env::var("PGPASSWORD").ok())
    }
}

impl DatabaseText {
    /// Which database it is, where another flag than `--database` has it. Errors name that flag.
    pub(crate) fn url(&self, flag: &str) -> anyhow::Result<DatabaseUrl> {
        DatabaseUrl::parse(&self.0, std::env::var("PGPASSWORD").ok())
            .map_err(|error| anyhow!(error.to_string().replace("--database", flag)))
    }
}

impl From<String> for DatabaseText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for DatabaseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseText(…)")
    }
}

impl FromStr for Connections {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// The writer's, the listener's, one for what deliveries depend on, and one to lend.
        const LEAST: usize = 4;
        /// More processes than this are no help to any PostgreSQL.
        const MOST: usize = 1000;
        match text.parse() {
            Ok(number) if (LEAST..=MOST).contains(&number) => Ok(Self(number)),
            _ => Err(format!("must be from {LEAST} to {MOST}")),
        }
    }
}

impl RetentionConfig {
    /// As the store takes it.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            events_ms: self.event_retention.as_ms(),
            attempts_ms: self.log_retention.as_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded() {
        assert_eq!("10".parse(), Ok(Connections(10)));
        for text in ["", "3", "1001", "-1", "many"] {
            assert!(text.parse::<Connections>().is_err(), "{text}");
        }
    }
}
