//! The proof that a commit is possible: one.

use deadpool_postgres::Pool;
use tokio::time::Instant;

use crate::{
    database::{self, Database},
    failure::Failure,
    memory::Memory,
};

/// Writes one small row. Only somebody who asks whether the store is ready causes it, and only
/// where nothing else has been committed just now.
pub(crate) async fn write(pool: &Pool, memory: &Memory) -> Result<(), Failure> {
    let client = database::borrow(pool).await?;
    Database::new(&client, &memory.metrics)
        .execute(
            "INSERT INTO settings (name, value) VALUES ('probe', '')
             ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
            &[],
        )
        .await?;
    *memory.last_commit.lock() = Some(Instant::now());
    Ok(())
}
