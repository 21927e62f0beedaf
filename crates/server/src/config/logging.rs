//! Settings of the log, which goes to standard error.

#![expect(
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How the server tells what it does.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogConfig {
    /// text for people, json for machines; by default text on a terminal and json elsewhere
    #[arg(long, env = "TIDINGS_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    /// error, warn, info, debug or trace; also by module, as in info,tidings_delivery=debug
    #[arg(
        long,
        env = "TIDINGS_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LogLevel,
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object each line.
    Json,
}

/// What is told, checked when it is read.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(String);

impl LogConfig {
    /// Whether lines are JSON.
    fn is_json(&self) -> bool {
        match self.log_format {
            Some(format) => format == LogFormat::Json,
            None => !std::io::stderr().is_terminal(),
        }
    }

    /// Starts logging, for the whole process and once.
    pub(crate) fn start(&self) {
        let filter = EnvFilter::new(&self.log_level.0);
        // A line that cannot be written, as on a full disk, is lost. Telling that on standard error
        // as well, as the library would, ends in a panic of whoever had something to tell.
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .log_internal_errors(false)
            .with_writer(std::io::stderr);
        if self.is_json() {
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .init();
        } else {
            builder
                .with_ansi(crate::terminal::colours_on(&std::io::stderr()))
                .init();
        }
    }
}

impl std::str::FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvFilter::try_new(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|_| "must be error, warn, info, debug or trace".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked() {
        assert!("info,tidings_delivery=debug".parse::<LogLevel>().is_ok());
        assert!("loud=very".parse::<LogLevel>().is_err());
    }
}
