//! `tidings users`: those who may sign in to the portal, made and removed directly on the
//! database. That needs no running server and disturbs none: whoever may write to the database owns
//! what is in it anyway.

mod password_entry;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tidings_domain::{actor::Actor, clock::Clock as _, email::Email, id::UserId, time::UtcMillis};
use tidings_store::{User, UserDeleted, UserMade};

use crate::{
    clock::{SystemClock, SystemRandom},
    config::{ConfigFile, DatabaseConfig},
    database::{self, Beside},
};
use password_entry::PasswordEntry;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings users create --email ada@example.com
  pass show tidings | tidings users create --email ada@example.com --password-stdin
  tidings users list
  tidings users set-password --email ada@example.com     ends all of their sessions, too
  tidings users delete --email ada@example.com

They are the platform's own people, who see every company in the portal. The admins of a company are
no users: they come by a link (POST /api/v1/portal/sessions).";

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Make a user; asks for a password
    #[command(after_help = EXAMPLES)]
    Create(PasswordArgs),
    /// List the users
    #[command(after_help = EXAMPLES)]
    List(ListArgs),
    /// Give a user another password, and end all of their sessions
    #[command(after_help = EXAMPLES)]
    SetPassword(PasswordArgs),
    /// Remove a user, and end all of their sessions
    #[command(after_help = EXAMPLES)]
    Delete(DeleteArgs),
}

/// A user and a new password.
#[derive(Args, Debug)]
pub(crate) struct PasswordArgs {
    /// The address they sign in with
    #[arg(long, value_name = "ADDRESS", value_parser = Email::parse)]
    email: Email,

    #[command(flatten)]
    password: PasswordEntry,

    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

/// Whose users.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

/// Whom to remove.
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// The address they sign in with
    #[arg(long, value_name = "ADDRESS", value_parser = Email::parse)]
    email: Email,

    #[command(flatten)]
    database: DatabaseConfig,

    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(command: UsersCommand) -> anyhow::Result<ExitCode> {
    match command {
        UsersCommand::Create(args) => create(args).await?,
        UsersCommand::List(args) => list(&args).await?,
        UsersCommand::SetPassword(args) => set_password(args).await?,
        UsersCommand::Delete(args) => delete(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: PasswordArgs) -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let database = database::beside(&args.database, &random).await?;
    // Nobody should think of a password in vain.
    if user(&*database, &args.email).await?.is_some() {
        bail!(taken(&args.email));
    }
    let password_hash = args.password.read_and_hash(&args.email, &random)?;
    let now = SystemClock.now();
    let user = User {
        id: UserId::new(now, &random),
        email: args.email.clone(),
        password_hash,
        created: now,
        last_sign_in: None,
    };
    let id = user.id;
    let made = database.create_user(user, &Actor::COMMAND).await;
    match made.context("cannot store the user")? {
        UserMade::Made => {}
        UserMade::EmailTaken => bail!(taken(&args.email)),
    }
    println!("{id}");
    eprintln!("{} may sign in to the portal now.", args.email);
    Ok(())
}

async fn list(args: &ListArgs) -> anyhow::Result<()> {
    let database = database::beside(&args.database, &SystemRandom::new()).await?;
    let users = database.users().await.context("cannot read the users")?;
    let width = users.iter().map(|user| user.email.as_str().chars().count());
    let width = width.max().unwrap_or_default();
    for user in &users {
        let last = user.last_sign_in.as_ref().map(UtcMillis::to_string);
        println!(
            "{}  {:<width$}  since {}  last here {}",
            user.id,
            user.email.as_str(),
            user.created,
            last.as_deref().unwrap_or("never"),
        );
    }
    if users.is_empty() {
        eprintln!("Nobody may sign in yet. Make a user with: tidings users create --email ADDRESS");
    }
    Ok(())
}

async fn set_password(args: PasswordArgs) -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let database = database::beside(&args.database, &random).await?;
    let Some(user) = user(&*database, &args.email).await? else {
        bail!(unknown(&args.email));
    };
    let hash = args.password.read_and_hash(&args.email, &random)?;
    let now = SystemClock.now();
    let set = database
        .set_password(user.id, hash, now, &Actor::COMMAND)
        .await;
    if !set.context("cannot store the password")? {
        bail!(unknown(&args.email));
    }
    eprintln!(
        "{} has another password now; all of their sessions have ended.",
        args.email
    );
    Ok(())
}

async fn delete(args: DeleteArgs) -> anyhow::Result<()> {
    let database = database::beside(&args.database, &SystemRandom::new()).await?;
    let Some(user) = user(&*database, &args.email).await? else {
        bail!(unknown(&args.email));
    };
    let now = SystemClock.now();
    let deleted = database.delete_user(user.id, now, &Actor::COMMAND).await;
    match deleted.context("cannot remove the user")? {
        UserDeleted::Gone => {}
        UserDeleted::NotFound => bail!(unknown(&args.email)),
        UserDeleted::Last => bail!(
            "{} is the last user, without whom nobody could sign in to the portal; make another \
             one first",
            args.email
        ),
    }
    eprintln!(
        "{} is no user any more; all of their sessions have ended.",
        args.email
    );
    Ok(())
}

async fn user(database: &dyn Beside, email: &Email) -> anyhow::Result<Option<User>> {
    let found = database.user_by_email(email).await;
    found.context("cannot read the users")
}

fn taken(email: &Email) -> String {
    format!("{email} is a user already; tidings users set-password gives them another password")
}

fn unknown(email: &Email) -> String {
    format!("{email} is no user; tidings users list shows who is one")
}
