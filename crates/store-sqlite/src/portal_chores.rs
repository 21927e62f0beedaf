//! Housekeeping of the portal: links and sessions that have expired, figures that are no longer kept.
//! Part of [`crate::tidy`], whose reader looks first and whose writer then works.

use rusqlite::{Connection, Params};
use tidings_domain::{figures::Resolution, time::UtcMillis};

use crate::{database::Database, failure::Failure};

/// What there is to do, each bounded by the same number of rows.
#[derive(Debug, Default)]
pub(crate) struct PortalChores {
    links: Found,
    sessions: Found,
    /// In the order of [`Resolution::ALL`].
    figures: [Found; Resolution::ALL.len()],
}

/// What a look finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Found {
    #[default]
    Nothing,
    /// No more than one step does.
    Some,
    /// More than one step does, perhaps.
    Much,
}

impl PortalChores {
    /// Looks at up to `rows_max` rows of each kind, by indexes alone.
    pub(crate) fn look(conn: &Connection, now: UtcMillis, rows_max: i64) -> Result<Self, Failure> {
        let expired = |table: &str| {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE expires_ms <= ? LIMIT ?)"
            );
            count(conn, &sql, (now.as_millis(), rows_max), rows_max)
        };
        let mut chores = Self {
            links: expired("links")?,
            sessions: expired("sessions")?,
            ..Self::default()
        };
        for (found, resolution) in chores.figures.iter_mut().zip(Resolution::ALL) {
            let before = kept_from(resolution, now);
            *found = count(
                conn,
                "SELECT count(*) FROM (SELECT 1 FROM figures INDEXED BY figures_by_time
                     WHERE resolution = ? AND start_ms < ? LIMIT ?)",
                (resolution.number(), before, rows_max),
                rows_max,
            )?;
        }
        Ok(chores)
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().all(|found| found == Found::Nothing)
    }

    /// Whether more may be left than one step does.
    pub(crate) fn has_more(&self) -> bool {
        self.all().any(|found| found == Found::Much)
    }

    /// Does one step.
    pub(crate) fn work(&self, db: &Database, now: UtcMillis, rows_max: i64) -> Result<(), Failure> {
        for (table, found) in [("links", self.links), ("sessions", self.sessions)] {
            if found != Found::Nothing {
                db.execute(
                    &format!(
                        "DELETE FROM {table} WHERE seq IN (
                             SELECT seq FROM {table} WHERE expires_ms <= ? LIMIT ?)"
                    ),
                    (now.as_millis(), rows_max),
                )?;
            }
        }
        for (found, resolution) in self.figures.into_iter().zip(Resolution::ALL) {
            if found != Found::Nothing {
                db.execute(
                    "DELETE FROM figures
                     WHERE (resolution, subscription, company_id, start_ms) IN (
                         SELECT resolution, subscription, company_id, start_ms
                         FROM figures INDEXED BY figures_by_time
                         WHERE resolution = ? AND start_ms < ? LIMIT ?)",
                    (resolution.number(), kept_from(resolution, now), rows_max),
                )?;
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = Found> {
        [self.links, self.sessions].into_iter().chain(self.figures)
    }
}

/// Stretches that begin before this time are no longer kept.
fn kept_from(resolution: Resolution, now: UtcMillis) -> i64 {
    now.plus_millis(-resolution.kept_ms()).as_millis()
}

fn count(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    rows_max: i64,
) -> Result<Found, Failure> {
    let rows: i64 = conn
        .prepare_cached(sql)?
        .query_row(params, |row| row.get(0))?;
    Ok(match rows {
        0 => Found::Nothing,
        rows if rows < rows_max => Found::Some,
        _ => Found::Much,
    })
}
