//! `tidings.toml`: settings that become the defaults of the command line.
//!
//! The file is found first, its keys are checked against the flags of `tidings serve`, and each
//! value is handed to the flag of the same name as its default. So the flag's own parser checks
//! it, and flags and environment win without further ado. [`Settings::blame`] names the file where
//! it was the file's value that was refused.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{ConfigError, ConfigFile, ServeConfig};
use clap::{Args as _, FromArgMatches as _};

/// Where the file is looked for when nobody says otherwise.
const DEFAULT_PATH: &str = "tidings.toml";

/// The values of a file, each as the text that the flag would have been given.
#[derive(Debug, Default)]
pub(super) struct Settings {
    path: PathBuf,
    values: Vec<(String, String)>,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The file that was asked for cannot be read.
    #[error("cannot read the configuration file {}: {reason}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's word.
        reason: std::io::Error,
    },
    /// Not TOML.
    #[error("{} is not valid TOML: {reason}", .path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// The parser's word, with line and column.
        reason: String,
    },
    /// A key that is no setting.
    #[error(
        "{}: there is no setting {key:?}{}; `tidings serve --help` lists them all",
        .path.display(),
        .similar.as_ref().map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default()
    )]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// A setting with a similar name.
        similar: Option<String>,
    },
    /// A value of a kind that no flag could have.
    #[error("{}: {key} must be a text, a number, or a list of them", .path.display())]
    WrongKind {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value that the setting refuses.
    #[error("{}: {key} cannot be {value}: {reason}", .path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The value as the file has it.
        value: String,
        /// The setting's word.
        reason: String,
    },
}

impl Settings {
    /// The settings of the file that `args` (or the environment) name, or of the default one
    /// where there is one; none for commands that read no file, and for help.
    pub(super) fn load_for(command: Command, args: &[OsString]) -> Result<Self, FileError> {
        match file_asked_for(command, args) {
            Asked::None => Ok(Self::default()),
            Asked::Named(path) => {
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|reason| FileError::Unreadable {
                    path: path.clone(),
                    reason,
                })?;
                Self::read(&path, &text)
            }
            Asked::Default => match std::fs::read_to_string(DEFAULT_PATH) {
                Ok(text) => Self::read(Path::new(DEFAULT_PATH), &text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
                Err(reason) => Err(FileError::Unreadable {
                    path: DEFAULT_PATH.into(),
                    reason,
                }),
            },
        }
    }

    /// The settings in `text`; every key must be a flag of `tidings serve`.
    fn read(path: &Path, text: &str) -> Result<Self, FileError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The whole error quotes the line, which may hold a secret.
            let line = error.span().map_or(1, |span| {
                1 + text[..span.start.min(text.len())].matches('\n').count()
            });
            FileError::Syntax {
                path: path.to_owned(),
                reason: format!("line {line}: {}", error.message()),
            }
        })?;
        let names = setting_names();
        let values = table
            .into_iter()
            .map(|(key, value)| {
                let name = key.replace('_', "-");
                if !names.contains(&name) {
                    return Err(FileError::UnknownKey {
                        path: path.to_owned(),
                        similar: most_similar(&name, &names),
                        key,
                    });
                }
                let value = flag_text(&value).ok_or_else(|| FileError::WrongKind {
                    path: path.to_owned(),
                    key,
                })?;
                Ok((name, value))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            values,
        })
    }

    /// Makes the values the defaults of every command that reads the file.
    pub(super) fn apply_to(&self, mut command: Command) -> Command {
        if reads_file(&command) {
            for (name, value) in &self.values {
                let id = command
                    .get_arguments()
                    .find(|arg| arg.get_long() == Some(name))
                    .map(|arg| arg.get_id().clone());
                if let Some(id) = id {
                    command = command.mut_arg(id, |arg| arg.default_value(value.clone()));
                }
            }
        }
        command.mut_subcommands(|subcommand| self.apply_to(subcommand))
    }

    /// Says whose fault a refused value is: the file's where it has just this value.
    pub(super) fn blame(&self, error: clap::Error) -> ConfigError {
        let refused = matches!(
            error.kind(),
            ErrorKind::ValueValidation | ErrorKind::InvalidValue
        );
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.as_str(),
            _ => "",
        };
        let flag = context(ContextKind::InvalidArg);
        let value = context(ContextKind::InvalidValue);
        let found = self.values.iter().find(|(name, text)| {
            let named = flag
                .strip_prefix("--")
                .and_then(|rest| rest.split(' ').next());
            refused
                && named == Some(name)
                && text.split(',').any(|part| part == value || text == value)
        });
        let Some((key, _)) = found else {
            return error.into();
        };
        let reason = match (
            std::error::Error::source(&error),
            error.get(ContextKind::ValidValue),
        ) {
            (Some(source), _) => source.to_string(),
            (None, Some(ContextValue::Strings(valid))) => format!("use {}", valid.join(" or ")),
            (None, _) => "it is refused".to_owned(),
        };
        FileError::Refused {
            path: self.path.clone(),
            key: key.clone(),
            value: format!("{value:?}"),
            reason,
        }
        .into()
    }
}

/// Which file a command line asks for.
enum Asked {
    /// The command reads no file, or is no command; the real parse says which.
    None,
    /// The default one, where there is one.
    Default,
    /// This one, which must be there.
    Named(PathBuf),
}

fn file_asked_for(command: Command, args: &[OsString]) -> Asked {
    let shape = command.clone();
    let Ok(matches) = command.ignore_errors(true).try_get_matches_from(args) else {
        return Asked::None;
    };
    let (mut shape, mut matches) = (&shape, &matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(inner_shape) = shape.find_subcommand(name) else {
            return Asked::None;
        };
        (shape, matches) = (inner_shape, inner);
    }
    if !reads_file(shape) {
        return Asked::None;
    }
    let named = ConfigFile::from_arg_matches(matches).ok();
    match named.and_then(|file| file.config) {
        Some(path) => Asked::Named(path),
        None => Asked::Default,
    }
}

fn reads_file(command: &Command) -> bool {
    command
        .get_arguments()
        .any(|arg| arg.get_long() == Some("config"))
}

/// The flags of `tidings serve`, but the one that names the file.
fn setting_names() -> Vec<String> {
    ServeConfig::augment_args(Command::new("serve"))
        .get_arguments()
        .filter_map(|arg| arg.get_long())
        .filter(|name| *name != "config")
        .map(str::to_owned)
        .collect()
}

/// A TOML value as a flag would be given it; lists are joined by commas.
fn flag_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(on) => Some(on.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(flag_text).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The name that shares most pairs of neighbouring letters with `name`, where they are most of
/// them (the Sørensen–Dice coefficient).
fn most_similar(name: &str, names: &[String]) -> Option<String> {
    const PERCENT_MIN: usize = 60;
    let wanted: Vec<_> = name.as_bytes().windows(2).collect();
    let percent = |candidate: &String| {
        let pairs = candidate.as_bytes().windows(2);
        let all = wanted.len() + pairs.len();
        let shared = pairs.filter(|pair| wanted.contains(pair)).count();
        200 * shared / all.max(1)
    };
    names
        .iter()
        .max_by_key(|candidate| percent(candidate))
        .filter(|candidate| percent(candidate) >= PERCENT_MIN)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Cli, Command as Chosen};
    use clap::CommandFactory as _;

    fn serve_with(text: &str, args: &[&str]) -> Result<ServeConfig, ConfigError> {
        let settings = Settings::read(Path::new("tidings.toml"), text)?;
        let args = ["tidings", "serve"].iter().chain(args);
        let parsed = settings
            .apply_to(Cli::command())
            .try_get_matches_from(args)
            .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
        match parsed.map_err(|error| settings.blame(error))?.command {
            Chosen::Serve(config) => Ok(*config),
            _ => panic!("serve was asked for"),
        }
    }

    fn error_of(text: &str) -> String {
        serve_with(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn values_are_defaults_and_flags_win() {
        let text = r#"
            listen = "127.0.0.1:9000"
            concurrency_per_subscription = 4
            retry-schedule = ["1s", "2s"]
            block-address = ["10.0.0.0/8", "192.0.2.1"]
            event-retention = "forever"
        "#;
        let config = serve_with(text, &["--listen", "127.0.0.1:9001"]).unwrap();
        assert_eq!(config.http.listen.port(), 9001);
        assert_eq!(config.delivery.concurrency_per_subscription.get(), 4);
        assert_eq!(config.delivery.retry_schedule.0.delays_ms(), [1000, 2000]);
        assert_eq!(config.target.block_address.len(), 2);
        assert_eq!(config.retention.retention().events_ms, None);
        assert_eq!(serve_with(text, &[]).unwrap().http.listen.port(), 9000);
    }

    #[test]
    fn an_unknown_key_is_named_and_a_similar_one_offered() {
        let error = error_of("retry-schedul = 1");
        assert!(
            error.contains("tidings.toml") && error.contains(r#""retry-schedul""#),
            "{error}"
        );
        assert!(
            error.contains(r#"did you mean "retry-schedule""#),
            "{error}"
        );
        assert!(!error_of("xyzzy = 1").contains("did you mean"));
        assert!(error_of("config = \"x\"").contains("no setting"));
    }

    #[test]
    fn a_refused_value_names_the_file_and_the_key() {
        let error = error_of("attempt-timeout = \"soon\"");
        assert_eq!(
            error,
            "tidings.toml: attempt-timeout cannot be \"soon\": \
             write a time like 500ms, 10s, 2m, 1h30m or 30d (at least 1ms)"
        );
        assert!(error_of("allow-address = [\"10.0.0.0/8\", \"x\"]").contains("allow-address"));
        assert!(error_of("log-format = \"xml\"").contains("text or json"));
        assert!(error_of("listen = 1.5").contains("listen must be a text"));
    }

    #[test]
    fn a_syntax_error_shows_no_secret() {
        let error = error_of("listen = \"127.0.0.1:1\"\nbootstrap-key = \"tdg_secret");
        assert!(
            error.contains("line 2") && !error.contains("tdg_secret"),
            "{error}"
        );
    }
}
