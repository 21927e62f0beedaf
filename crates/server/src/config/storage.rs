//! Settings of the store: which database, which key, how long things are kept.

#![expect(
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

use std::{fmt, path::PathBuf};

use anyhow::bail;
use clap::Args;
use tidings_store::Retention;

use super::{secret_text::SecretText, span::Keep};

/// Where everything is stored.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct DatabaseConfig {
    /// Where everything is stored: sqlite:PATH
    ///
    /// One SQLite file, made on first start. Beside it stand PATH.key (the encryption key, unless
    /// TIDINGS_ENCRYPTION_KEY is given) and PATH.lock. Back the file up with `sqlite3 PATH ".backup
    /// COPY"` while the server runs, or copy it when it does not.
    ///
    /// Examples: sqlite:tidings.db, sqlite:/var/lib/tidings/tidings.db
    #[arg(
        long,
        env = "TIDINGS_DATABASE",
        value_name = "URL",
        default_value = "sqlite:tidings.db",
        hide_env_values = true
    )]
    pub(crate) database: DatabaseUrl,

    /// The key under which signing secrets are encrypted at rest: base64 of 32 bytes
    ///
    /// Either alphabet, padded or not. Without it the key is read from the file PATH.key beside the
    /// database, and made there on first start. Prefer the environment variable: others on the
    /// machine can see flags. Losing the key means losing the signing secrets; changing it is an
    /// error at start.
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

/// How long things are kept.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Storage")]
pub(crate) struct RetentionConfig {
    /// How long events are kept: a time like 30d, or forever
    ///
    /// An event that is still owed to somebody stays until that is settled.
    #[arg(
        long,
        env = "TIDINGS_EVENT_RETENTION",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub(crate) event_retention: Keep,

    /// How long the delivery log is kept: a time like 30d, or forever
    #[arg(
        long,
        env = "TIDINGS_LOG_RETENTION",
        value_name = "TIME",
        default_value = "30d"
    )]
    pub(crate) log_retention: Keep,
}

/// The database's address as it was given. Not shown anywhere: it may hold a password.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The file of the embedded database. An error says which databases there are.
    pub(crate) fn sqlite_path(&self) -> anyhow::Result<PathBuf> {
        let Some((scheme, rest)) = self.0.split_once(':') else {
            bail!("--database must start with sqlite: as in sqlite:tidings.db");
        };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path == ":memory:" {
                    bail!("--database needs a file: sqlite:PATH, as in sqlite:tidings.db");
                }
                Ok(PathBuf::from(path))
            }
            "postgres" | "postgresql" => bail!(
                "--database names PostgreSQL, but this build has no PostgreSQL store; \
                 use sqlite:PATH, as in sqlite:tidings.db"
            ),
            // Nothing of an unknown address is repeated: it may hold a password.
            _ => bail!("--database must be sqlite:PATH, as in sqlite:tidings.db"),
        }
    }
}

impl From<String> for DatabaseUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
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

    fn path(url: &str) -> Result<String, String> {
        DatabaseUrl::from(url.to_owned())
            .sqlite_path()
            .map(|path| path.display().to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn sqlite_addresses_name_a_file() {
        assert_eq!(path("sqlite:tidings.db").unwrap(), "tidings.db");
        assert_eq!(path("sqlite://tidings.db").unwrap(), "tidings.db");
        assert_eq!(path("sqlite:/var/lib/t.db").unwrap(), "/var/lib/t.db");
        assert_eq!(path("sqlite:///var/lib/t.db").unwrap(), "/var/lib/t.db");
    }

    #[test]
    fn others_are_refused_without_repeating_them() {
        let error = path("postgres://user:hunter2@db/tidings").unwrap_err();
        assert!(error.contains("no PostgreSQL store") && !error.contains("hunter2"));
        for url in [
            "mysql://u:hunter2@db",
            "hunter2",
            "sqlite:",
            "sqlite::memory:",
        ] {
            let error = path(url).unwrap_err();
            assert!(
                error.contains("sqlite:") && !error.contains("hunter2"),
                "{url}"
            );
        }
    }
}
