//! Configuration: flags over environment over `tidings.toml` over defaults.
//!
//! One struct per concern; their doc comments are the reference that `--help` prints. The values
//! of the file become the defaults of the command line, so that they are checked as flags are and
//! lose against flags and environment by themselves; [`mod@file`] does that.

#![expect(
    clippy::doc_link_with_quotes,
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

mod database_url;
mod delivery;
mod file;
mod http;
mod logging;
mod portal;
mod secret_text;
mod span;
mod storage;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _};

pub(crate) use database_url::{DatabaseUrl, PostgresUrl};
pub(crate) use delivery::{DeliveryConfig, TargetConfig};
pub(crate) use http::HttpConfig;
pub(crate) use logging::LogConfig;
pub(crate) use portal::PortalConfig;
pub(crate) use secret_text::SecretText;
pub(crate) use span::Span;
pub(crate) use storage::{ConnectionsConfig, DatabaseConfig, DatabaseText, RetentionConfig};

use crate::commands::Cli;

/// Where further settings are read from.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: tidings.toml in the working directory, if there]
    ///
    /// Its keys are the names of the flags of `tidings serve` without the dashes; one that
    /// is not known is an error. Flags and environment variables win over it.
    ///
    /// Example:
    ///   listen = "0.0.0.0:8080"
    ///   database = "sqlite:/var/lib/tidings/tidings.db"
    ///   retry-schedule = ["5s", "30s", "2m"]
    #[arg(
        long,
        env = "TIDINGS_CONFIG",
        value_name = "PATH",
        verbatim_doc_comment
    )]
    pub(crate) config: Option<PathBuf>,
}

/// Everything that `tidings serve` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeConfig {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    #[command(flatten)]
    pub(crate) http: HttpConfig,
    #[command(flatten)]
    pub(crate) portal: PortalConfig,
    #[command(flatten)]
    pub(crate) database: DatabaseConfig,
    #[command(flatten)]
    pub(crate) connections: ConnectionsConfig,
    #[command(flatten)]
    pub(crate) retention: RetentionConfig,
    #[command(flatten)]
    pub(crate) target: TargetConfig,
    #[command(flatten)]
    pub(crate) delivery: DeliveryConfig,
    #[command(flatten)]
    pub(crate) log: LogConfig,
}

/// Why the command line was not understood, or what it asked to be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Help, version, or an error in flags or environment; it knows how to show itself.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// An error in the file.
    #[error(transparent)]
    File(#[from] file::FileError),
}

/// Reads the command line, with the settings of the file beneath it.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, ConfigError> {
    let settings = file::Settings::load_for(Cli::command(), args)?;
    let command = settings.apply_to(Cli::command());
    let parsed = command
        .try_get_matches_from(args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(cli) => Ok(cli),
        Err(error) => Err(settings.blame(error)),
    }
}

/// The variables among `names` that look like settings and are none: most likely misspelt.
pub(crate) fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    fn collect(command: &clap::Command, known: &mut Vec<String>) {
        let variables = command.get_arguments().filter_map(clap::Arg::get_env);
        known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
        for subcommand in command.get_subcommands() {
            collect(subcommand, known);
        }
    }
    let mut known = Vec::new();
    collect(&Cli::command(), &mut known);
    names
        .filter(|name| name.starts_with("TIDINGS_") && !known.contains(name))
        .collect()
}

impl ServeConfig {
    /// The defaults, as nothing but `args` changes them: for the demo, which reads neither
    /// environment nor file.
    pub(crate) fn from_flags(args: &[&str]) -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("tidings serve").no_binary_name(true))
            .mut_args(|arg| arg.env(None));
        let mut matches = command.try_get_matches_from(args)?;
        Self::from_arg_matches_mut(&mut matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Every setting has its variable, named after its flag.
    #[test]
    fn every_setting_has_its_variable() {
        let command = ServeConfig::augment_args(clap::Command::new("serve"));
        for arg in command.get_arguments() {
            let flag = arg.get_long().unwrap();
            let variable = format!("TIDINGS_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().unwrap().to_str().unwrap(), variable);
            assert!(arg.get_help().is_some(), "{flag} explains itself");
        }
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        let names = ["TIDINGS_LISTN", "TIDINGS_LISTEN", "TIDINGS_API_KEY", "PATH"];
        let unknown = unknown_variables(names.into_iter().map(str::to_owned));
        assert_eq!(unknown, ["TIDINGS_LISTN"]);
    }

    #[test]
    fn flags_alone_make_a_configuration() {
        let config = ServeConfig::from_flags(&["--listen", "127.0.0.1:0"]).unwrap();
        assert_eq!(config.http.listen.port(), 0);
        assert_eq!(config.delivery.concurrency_per_subscription.get(), 16);
    }
}
