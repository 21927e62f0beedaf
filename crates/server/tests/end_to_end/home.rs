//! Where the servers of one test keep everything: a file, or a database of PostgreSQL.

use std::path::Path;

use tidings_test_cluster::{Cluster, Database};
use tokio::process::Command;

use crate::{
    program::{self, Server},
    scratch::Scratch,
};

/// The encryption key of installations on PostgreSQL.
pub(crate) const ENCRYPTION_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A directory, and a database that is somewhere else where it is PostgreSQL's.
pub(crate) struct Home {
    scratch: Scratch,
    database: Option<Database>,
}

/// Makes two tests of a function that takes a [`Home`].
macro_rules! on_both {
    ($test:ident) => {
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$test($crate::home::Home::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                super::$test($crate::home::Home::postgres()).await;
            }
        }
    };
}
pub(crate) use on_both;

impl Home {
    /// A file in a directory of its own.
    pub(crate) fn sqlite() -> Self {
        Self {
            scratch: Scratch::new(),
            database: None,
        }
    }

    /// A database in the cluster that all tests share.
    pub(crate) fn postgres() -> Self {
        Self::in_cluster(Cluster::shared())
    }

    /// A database in a cluster of the test's own.
    pub(crate) fn in_cluster(cluster: &Cluster) -> Self {
        Self {
            scratch: Scratch::new(),
            database: Some(cluster.database()),
        }
    }

    /// The directory in which the servers run.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// The name of PostgreSQL's database.
    pub(crate) fn database_name(&self) -> &str {
        self.database.as_ref().expect("PostgreSQL's").name()
    }

    /// A command of the program that works on this database.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program::tidings(self.path());
        command.args(args);
        self.point(&mut command);
        command
    }

    /// `serve` on this database, as [`program::serve`] has it.
    pub(crate) fn serve(&self, args: &[&str]) -> Command {
        let mut command = program::serve(self.path(), args);
        self.point(&mut command);
        command
    }

    /// Starts a server and waits until it is ready.
    pub(crate) async fn start(&self, args: &[&str]) -> Server {
        Server::of(self.serve(args)).await
    }

    fn point(&self, command: &mut Command) {
        if let Some(database) = &self.database {
            command
                .env("TIDINGS_DATABASE", database.url())
                .env("TIDINGS_ENCRYPTION_KEY", ENCRYPTION_KEY);
        }
    }
}
