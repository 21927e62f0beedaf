//! What ends by itself: links, sessions and figures past their time, taken away in bounded steps.

use deadpool_postgres::GenericClient;
use tidings_domain::{figures::Resolution, time::UtcMillis};

use crate::{database::Database, failure::Failure};

/// Deletes at most `rows_max` of each kind. True where more may be left.
pub(crate) async fn sweep<C: GenericClient>(
    db: &Database<'_, C>,
    now: UtcMillis,
    rows_max: i64,
) -> Result<bool, Failure> {
    let mut most = 0;
    for table in ["links", "sessions"] {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY (
                 SELECT ctid FROM {table} WHERE expires_ms <= $1 LIMIT $2))"
        );
        most = most.max(db.execute(&sql, &[&now.as_millis(), &rows_max]).await?);
    }
    for resolution in Resolution::ALL {
        let ended = now.plus_millis(-resolution.kept_ms());
        let deleted = db
            .execute(
                "DELETE FROM figures WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM figures WHERE resolution = $1 AND start_ms < $2 LIMIT $3))",
                &[&resolution.number(), &ended.as_millis(), &rows_max],
            )
            .await?;
        most = most.max(deleted);
    }
    Ok(i64::try_from(most).unwrap_or(rows_max) >= rows_max)
}
