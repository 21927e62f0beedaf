//! `tidings copy`: moves everything from the embedded database into PostgreSQL. Reading and writing
//! are the stores'; here is what a person sees of it: the questions up front, the progress
//! ([`mod@progress`]), and what to do next.

#![expect(
    clippy::doc_markdown,
    reason = "these doc comments are the text of `--help`, which shows them as they are"
)]

mod progress;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::bail;
use clap::Args;
use tidings_domain::clock::Clock as _;
use tidings_store::copy::{self, CopyError, CopyOutcome, CopyStep, CopyTable, Start};
use tokio::time::Instant;

use crate::{
    clock::{SystemClock, SystemRandom},
    config::{ConfigFile, DatabaseText, DatabaseUrl, PostgresUrl, SecretText},
    database::{self, CopyEnds},
};
use progress::{Display, bytes, count, duration};

pub(super) const ABOUT: &str = "\
Copy everything from the embedded database into PostgreSQL.

For those who started on one file and want several servers now. Everything comes along: events with \
their positions, subscriptions with their secrets, API keys, idempotency keys, what is still owed, \
the delivery log, and what belongs to the portal. Cursors that were handed out stay good, and \
nobody has to change anything but the servers' address of the database.

Stop the server first; an older file is brought to this program's schema, and then only read. The \
target must be an empty database. Interrupt the \
copy as you like: the same command goes on where it was. Until it is finished no server starts on \
the target; at the end everything is counted on both sides.";

pub(super) const EXAMPLES: &str = "\
Examples:
  createdb --owner=tidings --encoding=UTF8 --template=template0 tidings
  tidings copy --to postgres://tidings@localhost/tidings
  tidings copy --from sqlite:/var/lib/tidings/tidings.db \\
      --to 'postgres://tidings@db.example.com/tidings?sslmode=require'

The password: as PGPASSWORD, or in the address as TIDINGS_COPY_TO; others on the machine can see
flags. Then: set TIDINGS_DATABASE and TIDINGS_ENCRYPTION_KEY for the servers and start them.";

/// From where to where.
#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// The database to copy: sqlite:PATH
    #[arg(long, value_name = "URL", default_value = "sqlite:tidings.db")]
    from: DatabaseText,

    /// The empty database to copy into: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(
        long,
        env = "TIDINGS_COPY_TO",
        value_name = "URL",
        hide_env_values = true
    )]
    to: DatabaseText,

    /// The key of the database that is copied, and so of the copy: base64 of 32 bytes
    ///
    /// Without it the key is read from the file PATH.key beside the database.
    #[arg(
        long,
        env = "TIDINGS_ENCRYPTION_KEY",
        value_name = "BASE64",
        hide_env_values = true,
        hide_default_value = true
    )]
    encryption_key: Option<SecretText>,

    /// A PEM file with certificates of authorities to trust for PostgreSQL beside the system's
    #[arg(long, env = "TIDINGS_DATABASE_ROOT_CA", value_name = "FILE")]
    database_root_ca: Option<PathBuf>,

    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(args: CopyArgs) -> anyhow::Result<ExitCode> {
    let (from, to) = args.ends()?;
    let ends = CopyEnds {
        from: from.clone(),
        to: to.clone(),
        encryption_key: args.encryption_key,
        root_ca: args.database_root_ca,
    };
    let names = Names {
        from: from.display().to_string(),
        to: DatabaseUrl::Postgres(to).to_string(),
    };
    let began = Instant::now();
    let (source, mut target) =
        database::open_copy(ends, SystemClock.now(), Arc::new(SystemRandom::new())).await?;
    let mut display = Display::new();
    let copied = copy::run(source, target.as_mut(), |outcome, step| match step {
        CopyStep::Begun => {
            eprintln!("{}", greeting(&names, outcome));
            display.begin(outcome);
        }
        CopyStep::Further(table) => display.advance(outcome, table),
        CopyStep::Counting => display.count(),
    });
    let outcome = tokio::select! {
        copied = copied => Some(copied),
        _ = tokio::signal::ctrl_c() => None,
    };
    display.end();
    let outcome = match outcome {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => return Err(explain(error)),
        None => bail!("interrupted; the same command goes on where it was"),
    };
    println!(
        "{}",
        summary(&names, &outcome, began.elapsed().as_secs_f64())
    );
    Ok(ExitCode::SUCCESS)
}

impl CopyArgs {
    /// The two ends, which must be of their kinds.
    fn ends(&self) -> anyhow::Result<(PathBuf, PostgresUrl)> {
        let DatabaseUrl::Sqlite(from) = self.from.url("--from")? else {
            bail!("--from must be the embedded database: sqlite:PATH, as in sqlite:tidings.db");
        };
        let DatabaseUrl::Postgres(to) = self.to.url("--to")? else {
            bail!("--to must be PostgreSQL: postgres://USER:PASSWORD@HOST/DATABASE");
        };
        Ok((from, to))
    }
}

/// How the two databases are called, without secrets.
struct Names {
    from: String,
    to: String,
}

/// Says what an error leaves behind.
fn explain(error: CopyError) -> anyhow::Error {
    match error {
        CopyError::Store(_) => anyhow::Error::from(error).context(
            "the copy broke off; what was copied stays, and the same command goes on where it was",
        ),
        other => other.into(),
    }
}

fn greeting(names: &Names, outcome: &CopyOutcome) -> String {
    let Names { from, to } = names;
    let rows = outcome.survey.rows();
    let there: u64 = CopyTable::ALL
        .iter()
        .map(|&table| outcome.progress[table].rows)
        .sum();
    let (all, there) = (count(rows), count(there));
    match outcome.start {
        Start::Afresh => format!("Copying {from} to {to}: {all} rows."),
        Start::GoingOn => {
            format!("Going on with the copy of {from} to {to}: {there} of {all} rows are there.")
        }
        Start::Over => format!(
            "{from} has changed since the copy to {to} was interrupted: copying it anew, {all} rows."
        ),
        Start::Finished => format!("{from} has been copied to {to} before; nothing is left to do."),
    }
}

/// What was done, and what to do next.
fn summary(names: &Names, outcome: &CopyOutcome, seconds: f64) -> String {
    let Names { from, to } = names;
    let mut lines = Vec::new();
    if outcome.start != Start::Finished {
        lines.push(format!("Copied {from} to {to} in {}:", duration(seconds)));
        for table in CopyTable::ALL {
            let highest = match (table, outcome.survey.tally.highest[table]) {
                (CopyTable::Events, position @ 1..) => format!("  up to position {position}"),
                (CopyTable::Attempts, number @ 1..) => format!("  up to number {number}"),
                _ => String::new(),
            };
            let progress = outcome.progress[table];
            lines.push(format!(
                "  {:<20} {:>15} {:>12}{highest}",
                table.as_str(),
                count(progress.rows),
                bytes(progress.bytes),
            ));
        }
        lines.push("Both sides were counted, and hold the same.".to_owned());
    }
    lines.push(format!(
        "\nNext:\
         \n  1. Give the servers the new address and the same encryption key, and start them:\
         \n       TIDINGS_DATABASE={to}   (with its password, or PGPASSWORD)\
         \n       TIDINGS_ENCRYPTION_KEY=the key of {from}, which may be in {from}.key\
         \n  2. Keep {from} and its key until you are satisfied, but start no server on it again:\
         \n     what it still owes would be delivered by both."
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;
    use tidings_store::copy::{Floors, PerTable, Progress, Survey, Tally};

    use super::*;

    fn ends(from: &str, to: &str) -> Result<(PathBuf, PostgresUrl), String> {
        let command =
            CopyArgs::augment_args(clap::Command::new("copy")).mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["copy", "--from", from, "--to", to]);
        let args = CopyArgs::from_arg_matches(&matches).unwrap();
        args.ends().map_err(|error| error.to_string())
    }

    #[test]
    fn a_copy_goes_from_the_file_to_postgresql() {
        let (from, to) = ends("sqlite:a.db", "postgres://me:hunter2@db/tidings").unwrap();
        assert_eq!(from, PathBuf::from("a.db"));
        assert!(to.expose().contains("hunter2"));
        for (from, to, flag) in [
            ("postgres://me:hunter2@db/a", "postgres://db/b", "--from"),
            ("sqlite:a.db", "sqlite:b.db", "--to"),
            ("a.db", "postgres://db/b", "--from"),
            ("sqlite:a.db", "mysql://me:hunter2@db", "--to"),
        ] {
            let error = ends(from, to).unwrap_err();
            assert!(
                error.contains(flag) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_summary_says_what_is_there_and_what_is_next() {
        let mut outcome = CopyOutcome {
            start: Start::GoingOn,
            survey: Survey {
                identity: Vec::new(),
                state: String::new(),
                tally: Tally::default(),
                floors: Floors::default(),
            },
            progress: PerTable::default(),
        };
        outcome.survey.tally.rows[CopyTable::Events] = 1_234_567;
        outcome.survey.tally.highest[CopyTable::Events] = 2_000_000;
        outcome.progress[CopyTable::Events] = Progress {
            rows: 1_234_567,
            bytes: 5 << 30,
            ..Progress::default()
        };
        let names = Names {
            from: "tidings.db".to_owned(),
            to: "postgres://db/tidings".to_owned(),
        };
        let told = summary(&names, &outcome, 61.2);
        for part in [
            "in 1 min 1 s",
            "1,234,567",
            "5.0 GiB",
            "up to position 2000000",
            "TIDINGS_DATABASE=postgres://db/tidings",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let greeted = greeting(&names, &outcome);
        assert!(greeted.contains("1,234,567 of 1,234,567 rows"), "{greeted}");
    }
}
