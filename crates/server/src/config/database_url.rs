//! The database's address: read once, and shown without its password ever after.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
};

use anyhow::bail;
use zeroize::Zeroizing;

/// What is said to whoever names no database that there is.
const CHOICES: &str = "--database must be sqlite:PATH, as in sqlite:tidings.db, or \
                       postgres://USER:PASSWORD@HOST/DATABASE";

/// Which database everything is stored in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// One of PostgreSQL's.
    Postgres(PostgresUrl),
}

/// The address of a database of PostgreSQL. Shows itself without password and options.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl {
    url: Zeroizing<String>,
    shown: String,
}

impl DatabaseUrl {
    /// Reads an address. `password` is taken where one of PostgreSQL has none. Errors repeat
    /// nothing of it, since anything may be a password in the wrong place.
    pub(super) fn parse(text: &str, password: Option<String>) -> anyhow::Result<Self> {
        let Some((scheme, rest)) = text.trim().split_once(':') else {
            bail!(CHOICES);
        };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path == ":memory:" {
                    bail!("--database needs a file: sqlite:PATH, as in sqlite:tidings.db");
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" => {
                let password = password.map(Zeroizing::new);
                PostgresUrl::parse(rest, password).map(Self::Postgres)
            }
            _ => bail!(CHOICES),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl PostgresUrl {
    /// The address with its password.
    pub(crate) fn expose(&self) -> &str {
        &self.url
    }

    /// Reads what follows the scheme and its colon.
    fn parse(rest: &str, password: Option<Zeroizing<String>>) -> anyhow::Result<Self> {
        let Some(rest) = rest.strip_prefix("//") else {
            bail!("--database must begin with postgres://, as in postgres://USER@HOST/DATABASE");
        };
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_options) = rest.split_at(authority_end);
        let (credentials, hosts) = match authority.split_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        // Else a part of the password would pass for a host, and be shown.
        if hosts.contains('@') || path_and_options.contains('@') {
            bail!(
                "--database must have the special characters of user and password \
                 percent-encoded: @ as %40, / as %2F, ? as %3F, : as %3A"
            );
        }
        let (path, options) = path_and_options
            .split_once('?')
            .map_or((path_and_options, None), |(path, options)| {
                (path, Some(options))
            });
        let is_elsewhere = options.is_some_and(|options| options.contains("host="));
        let database = path.trim_start_matches('/');
        if database.is_empty() || (hosts.is_empty() && !is_elsewhere) {
            bail!(
                "--database must name the host and the database of PostgreSQL, as in \
                 postgres://USER:PASSWORD@HOST/DATABASE"
            );
        }
        let (user, own_password) = match credentials.map(|both| both.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (credentials, None),
            None => (None, None),
        };
        let mut url = Zeroizing::new("postgres://".to_owned());
        if let Some(user) = user {
            url.push_str(user);
        }
        if let Some(password) = own_password {
            url.push(':');
            url.push_str(password);
        } else if let Some(password) = password.filter(|password| !password.is_empty()) {
            url.push(':');
            push_encoded(&mut url, &password);
        }
        if url.len() > "postgres://".len() {
            url.push('@');
        }
        url.push_str(hosts);
        url.push_str(path_and_options);
        let user = user.map_or_else(String::new, |user| format!("{user}@"));
        let shown = format!("postgres://{user}{hosts}/{database}");
        Ok(Self { url, shown })
    }
}

/// Appends a text so that none of it means anything in an address.
fn push_encoded(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, String> {
        DatabaseUrl::parse(text, None).map_err(|error| error.to_string())
    }

    fn postgres(text: &str, password: Option<&str>) -> PostgresUrl {
        match DatabaseUrl::parse(text, password.map(str::to_owned)).unwrap() {
            DatabaseUrl::Postgres(url) => url,
            DatabaseUrl::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn sqlite_addresses_name_a_file() {
        for (text, path) in [
            ("sqlite:tidings.db", "tidings.db"),
            ("sqlite://tidings.db", "tidings.db"),
            ("sqlite:/var/lib/t.db", "/var/lib/t.db"),
            ("sqlite:///var/lib/t.db", "/var/lib/t.db"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url, DatabaseUrl::Sqlite(path.into()));
            assert_eq!(url.to_string(), path);
        }
    }

    #[test]
    fn postgres_addresses_show_no_password() {
        for (text, shown) in [
            (
                "postgres://me:hunter2@db.example.com:5433/tidings?sslmode=require",
                "postgres://me@db.example.com:5433/tidings",
            ),
            (
                "postgresql://me@[::1]/tidings?password=hunter2",
                "postgres://me@[::1]/tidings",
            ),
            (
                "postgres://db1,db2:5433/tidings",
                "postgres://db1,db2:5433/tidings",
            ),
            (
                "postgres:///tidings?host=/run/postgresql",
                "postgres:///tidings",
            ),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hunter2"));
            let whole = text.replace("postgresql:", "postgres:");
            assert_eq!(postgres(text, None).expose(), whole);
        }
    }

    #[test]
    fn a_password_of_the_environment_fills_the_gap_alone() {
        let with = |text, password| postgres(text, Some(password)).expose().to_owned();
        assert_eq!(
            with("postgres://me@db/tidings?sslmode=require", "p@ss/ö"),
            "postgres://me:p%40ss%2F%C3%B6@db/tidings?sslmode=require"
        );
        let own = "postgres://me:own@db/tidings";
        assert_eq!(with(own, "other"), own);
        let none = "postgres://me@db/tidings";
        assert_eq!(with(none, ""), none);
    }

    #[test]
    fn others_are_refused_without_repeating_them() {
        for text in [
            "mysql://u:hunter2@db",
            "hunter2",
            "sqlite:",
            "sqlite::memory:",
            "postgres:hunter2",
            "postgres://u:hunter2@/tidings",
            "postgres://u:hunter2@db",
            "postgres://u:hunter2@db/?sslmode=require",
            "postgres://u:hunter2@x@db/tidings",
            "postgres://u:hunter2/x@db/tidings",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("--database") && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
