//! The writer's own connection, with the statements that it sends without waiting in between.

use deadpool_postgres::{Object, Pool};
use tidings_store::StoreMetrics;
use tokio_postgres::Statement;

use crate::{
    append, database, database::Database, doubt::Backend, failure::Failure, reserve, settle,
};

/// A connection that is not shared.
pub(crate) struct Link {
    pub(crate) client: Object,
    /// The process at its other end.
    pub(crate) backend: Backend,
    /// Whether it holds off changes of the book.
    pub(crate) holds_off: bool,
    pub(crate) append: Statement,
    pub(crate) append_promised: Statement,
    pub(crate) settle: Statement,
    pub(crate) reserve: Statement,
}

impl Link {
    /// Takes the one connection of a pool that belongs to the writer alone.
    pub(crate) async fn make(pool: &Pool, metrics: &StoreMetrics) -> Result<Self, Failure> {
        let client = database::borrow(pool).await?;
        let backend = Backend::of(&Database::new(&client, metrics)).await?;
        Ok(Self {
            append: client.prepare_cached(&append::APPEND).await?,
            append_promised: client.prepare_cached(&append::APPEND_PROMISED).await?,
            settle: client.prepare_cached(&settle::SETTLE).await?,
            reserve: client.prepare_cached(reserve::RESERVE).await?,
            client,
            backend,
            holds_off: false,
        })
    }

    /// Closes it instead of giving it back: what it is in the middle of is not certain.
    pub(crate) fn discard(self) {
        drop(Object::take(self.client));
    }
}
