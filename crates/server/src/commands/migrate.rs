//! `tidings migrate`: brings the database to this program's schema and stops. The server does the
//! same when it starts; this is for those who want it as a step of its own.

use std::process::ExitCode;

use clap::Args;

use crate::{
    clock::SystemRandom,
    config::{ConfigFile, DatabaseConfig},
    database::{self, Migrated},
};

pub(super) const ABOUT: &str = "\
Bring the database to this program's schema, and stop.

`tidings serve` does this by itself when it starts. As a step of its own it is for deployments that \
want to see it succeed before the server is started. It does nothing where nothing is to be done.";

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings migrate
  tidings migrate --database sqlite:/var/lib/tidings/tidings.db
  PGPASSWORD=… tidings migrate --database postgres://tidings@db.example.com/tidings";

/// Which database.
#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let Migrated { name, from, to } =
        database::migrate(&args.database, &SystemRandom::new()).await?;
    match from {
        0 => println!("Made {name} with schema {to}."),
        from if from == to => println!("{name} has schema {to} already."),
        from => println!("Brought {name} from schema {from} to schema {to}."),
    }
    Ok(ExitCode::SUCCESS)
}
