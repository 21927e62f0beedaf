//! `tidings migrate`: brings the database to this program's schema and stops. The server does the
//! same when it starts; this is for those who want it as a step of its own.

use std::process::ExitCode;

use clap::Args;
use tidings_store_sqlite::SqliteStore;

use crate::{
    clock::SystemRandom,
    config::{ConfigFile, DatabaseConfig},
    node,
};

pub(super) const ABOUT: &str = "\
Bring the database to this program's schema, and stop.

`tidings serve` does this by itself when it starts. As a step of its own it is for deployments that \
want to see it succeed before the server is started. It does nothing where nothing is to be done.";

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings migrate
  tidings migrate --database sqlite:/var/lib/tidings/tidings.db";

/// Which database.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let path = node::database_of_command(&args.database, &SystemRandom::new())?;
    let report = SqliteStore::migrate_only(&path)?;
    let (name, schema) = (path.display(), report.to);
    match report.from {
        0 => println!("Made {name} with schema {schema}."),
        from if from == schema => println!("{name} has schema {schema} already."),
        from => println!("Brought {name} from schema {from} to schema {schema}."),
    }
    Ok(ExitCode::SUCCESS)
}
