//! Copying into: an empty database as a [`CopyTarget`], filled through `COPY`, a transaction a
//! batch.
//!
//! One connection does everything and holds a lock that lets no second copy in. How far it is
//! stands in `settings`; as long as it stands there, no server starts. The rows themselves are
//! written in [`mod@lines`] and [`portal_lines`].

mod lines;
mod portal_lines;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Object};
use rustls::RootCertStore;
use tidings_domain::{id::EventId, random::Random, time::UtcMillis};
use tidings_store::{
    EncryptionKey, Sealer, StoreError, StoreMetrics,
    copy::{
        Batch, CopyError, CopyNote, CopyTable, CopyTarget, PerTable, Progress, Rows, Start, Survey,
        Tally,
    },
};
use tokio_postgres::error::SqlState;

use crate::{
    database::Database,
    failure::Failure,
    open::{self, OpenError},
    partitions::{self, ATTEMPTS, EVENTS, Partition},
};

/// The setting that a copy leaves as long as it is unfinished: a [`CopyNote`].
const UNFINISHED: &str = "copy";
/// The setting that it leaves when it is finished.
const FINISHED: &str = "copied";
/// Rows this old get no partition of their own any more: the default partition takes them.
const PARTITION_DAYS_MAX: i64 = 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The version of the book that everything copied is stamped with. Nodes begin with 0.
const BOOK_VERSION: i64 = 1;
/// Connections of who has just ended are there for a moment still: so often, and so long apart,
/// somebody must be seen to count as a node.
const LOOKS_MAX: usize = 10;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How a copy's connection differs from a node's. Counting takes long and reads whole tables; who
/// was killed may hold the lock for a moment.
const SET_UP: &str = "
    SET application_name = 'tidings copy';
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '15s';
    SET enable_seqscan = on;
    SET enable_bitmapscan = on;
    SET enable_hashjoin = on;
";

/// A database that is being copied into.
pub struct PostgresCopyTarget {
    client: Object,
    metrics: StoreMetrics,
    sealer: Sealer,
    now: UtcMillis,
    note: CopyNote,
    /// Days whose partitions are known to be there.
    made: BTreeSet<Partition>,
}

/// Whether a copy into this database was begun and not finished.
pub(crate) async fn is_unfinished(client: &Object) -> Result<bool, Failure> {
    let metrics = StoreMetrics::default();
    let db = Database::new(client, &metrics);
    Ok(setting(&db, UNFINISHED).await?.is_some())
}

impl PostgresCopyTarget {
    /// Connects to a database and brings it to the newest schema. `key` is the source's.
    pub async fn open(
        url: &str,
        roots: RootCertStore,
        key: &EncryptionKey,
        random: Arc<dyn Random>,
        now: UtcMillis,
    ) -> Result<Self, OpenError> {
        let metrics = StoreMetrics::default();
        let client = open::connect_for_copy(url, roots, SET_UP).await?;
        Ok(Self {
            client,
            metrics,
            sealer: Sealer::new(key, random),
            now,
            note: CopyNote {
                state: String::new(),
                progress: PerTable::default(),
            },
            made: BTreeSet::new(),
        })
    }

    fn db(&self) -> Database<'_, Object> {
        Database::new(&self.client, &self.metrics)
    }

    /// Keeps other copies out until this connection ends.
    async fn lock(&self) -> Result<(), CopyError> {
        let sql = "SELECT pg_advisory_lock(hashtext('tidings copy'))";
        match self.db().query(sql, &[]).await {
            Ok(_) => Ok(()),
            Err(Failure::Sql(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                Err(CopyError::Busy)
            }
            Err(failure) => Err(failed(failure)),
        }
    }

    /// Decides how to start, and notes it.
    async fn take(&mut self, survey: &Survey) -> Result<(Start, Option<Vec<u8>>), CopyError> {
        let transaction = self.client.transaction().await.map_err(sql_failed)?;
        let db = Database::new(&transaction, &self.metrics);
        // Whatever a server writes, but for leases, it writes under this row's lock.
        let head = db
            .first(
                "SELECT position FROM log_heads WHERE shard = 0 FOR UPDATE",
                &[],
            )
            .await
            .map_err(failed)?;
        let head: i64 = head.map_or(0, |row| row.get(0));
        let check = setting(&db, open::KEY_CHECK).await.map_err(failed)?;
        let is_same_source = check.as_ref() == Some(&survey.identity);
        let begun = note(&db, UNFINISHED).await?;
        let start = if let Some(begun) = begun {
            if !is_same_source {
                return Err(CopyError::OtherSource);
            }
            if begun.state == survey.state {
                self.note.progress = begun.progress;
                Start::GoingOn
            } else {
                clear(&db).await.map_err(failed)?;
                Start::Over
            }
        } else if let Some(copied) = note(&db, FINISHED).await? {
            if is_same_source && copied.state == survey.state {
                self.note.progress = copied.progress;
                Start::Finished
            } else if is_same_source {
                return Err(CopyError::CopiedBefore);
            } else {
                return Err(CopyError::NotEmpty(
                    "it holds the copy of another database".into(),
                ));
            }
        } else {
            refuse_rows(&db, head).await?;
            let opens = |value: &Vec<u8>| open::is_key_check(&self.sealer, value);
            if check.as_ref().is_some_and(|value| !opens(value)) {
                return Err(CopyError::OtherKey);
            }
            Start::Afresh
        };
        self.note.state.clone_from(&survey.state);
        if start != Start::Finished {
            set(&db, open::KEY_CHECK, &survey.identity)
                .await
                .map_err(failed)?;
            let json = self.note.to_json();
            set(&db, UNFINISHED, json.as_bytes())
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(sql_failed)?;
        Ok((start, check))
    }

    /// Makes sure that no node is running that looked before the note was there. Every node is
    /// connected before it looks.
    async fn refuse_nodes(&mut self, check_before: Option<Vec<u8>>) -> Result<(), CopyError> {
        for _ in 0..LOOKS_MAX {
            if !self.is_used().await.map_err(failed)? {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let transaction = self.client.transaction().await.map_err(sql_failed)?;
        let db = Database::new(&transaction, &self.metrics);
        unset(&db, UNFINISHED).await.map_err(failed)?;
        match check_before {
            Some(value) => set(&db, open::KEY_CHECK, &value).await.map_err(failed)?,
            None => unset(&db, open::KEY_CHECK).await.map_err(failed)?,
        }
        transaction.commit().await.map_err(sql_failed)?;
        Err(CopyError::InUse)
    }

    /// Removes what is there without anybody's use, see [`refuse_rows`], from tables whose first
    /// row is still to come.
    async fn drop_unused(&self) -> Result<(), Failure> {
        for (table, sql) in [
            (
                CopyTable::Links,
                "DELETE FROM links WHERE purpose = 'setup'",
            ),
            (CopyTable::EventTypes, "DELETE FROM event_types"),
        ] {
            if self.note.progress[table] == Progress::default() {
                self.db().execute(sql, &[]).await?;
            }
        }
        Ok(())
    }

    async fn is_used(&self) -> Result<bool, Failure> {
        let sql = "SELECT FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'tidings'
                       AND pid <> pg_backend_pid() LIMIT 1";
        Ok(self.db().first(sql, &[]).await?.is_some())
    }

    /// Partitions that rows need and that may be missing.
    fn partitions_for(&self, rows: &Rows) -> BTreeSet<Partition> {
        let oldest = self.now.plus_millis(-PARTITION_DAYS_MAX * DAY_MS);
        let newest = self.now.plus_millis(DAY_MS);
        let wanted = |table, ids: &mut dyn Iterator<Item = [u8; 16]>| {
            ids.map(|id| EventId::from_bytes(id).time())
                .filter(|time| (oldest..newest).contains(time))
                .map(|time| Partition::at(table, time))
                .filter(|partition| !self.made.contains(partition))
                .collect()
        };
        match rows {
            Rows::Events(rows) => wanted(EVENTS, &mut rows.iter().map(|row| row.id)),
            Rows::Attempts(rows) => wanted(ATTEMPTS, &mut rows.iter().map(|row| row.id)),
            _ => BTreeSet::new(),
        }
    }

    async fn write_rows(&mut self, rows: &Rows, note: &CopyNote) -> Result<(), Failure> {
        let missing = self.partitions_for(rows);
        let transaction = self.client.transaction().await?;
        for partition in &missing {
            partitions::make(&transaction, &self.metrics, *partition).await?;
        }
        lines::write(&transaction, rows, BOOK_VERSION).await?;
        let db = Database::new(&transaction, &self.metrics);
        set(&db, UNFINISHED, note.to_json().as_bytes()).await?;
        transaction.commit().await?;
        self.made.extend(missing);
        Ok(())
    }

    async fn count(&self) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for table in CopyTable::ALL {
            let (name, number) = lines::table(table);
            let sql = format!("SELECT count(*), coalesce(max({number}), 0) FROM {name}");
            let Some(row) = self.db().first(&sql, &[]).await? else {
                continue;
            };
            tally.rows[table] = row.get::<_, i64>(0).unsigned_abs();
            tally.highest[table] = row.get(1);
        }
        Ok(tally)
    }

    async fn declare_finished(&mut self, survey: &Survey) -> Result<(), Failure> {
        let floors = survey.floors;
        let transaction = self.client.transaction().await?;
        let db = Database::new(&transaction, &self.metrics);
        db.execute(
            "UPDATE log_heads SET position = $1, book_version = $2 WHERE shard = 0",
            &[&floors.position, &BOOK_VERSION],
        )
        .await?;
        db.execute("UPDATE catalog_state SET version = version + 1", &[])
            .await?;
        for (sequence, highest) in [
            ("attempt_numbers", floors.attempt),
            ("subscriptions_seq_seq", floors.subscription),
            ("api_keys_seq_seq", floors.key),
            ("idempotency_seq_seq", floors.promise),
            ("leases_id_seq", floors.lease),
            ("users_seq_seq", survey.tally.highest[CopyTable::Users]),
            ("links_seq_seq", survey.tally.highest[CopyTable::Links]),
            (
                "sessions_seq_seq",
                survey.tally.highest[CopyTable::Sessions],
            ),
            ("audit_log_seq_seq", survey.tally.highest[CopyTable::Audit]),
            (
                "event_types_seq_seq",
                survey.tally.highest[CopyTable::EventTypes],
            ),
        ] {
            // A sequence is never behind what it has given out itself, and never at 0.
            db.query(
                "SELECT setval($1::text::regclass, greatest($2, nextval($1::text::regclass)))",
                &[&sequence, &highest],
            )
            .await?;
        }
        unset(&db, UNFINISHED).await?;
        set(&db, FINISHED, self.note.to_json().as_bytes()).await?;
        Ok(transaction.commit().await?)
    }
}

#[async_trait]
impl CopyTarget for PostgresCopyTarget {
    async fn begin(&mut self, survey: &Survey) -> Result<(Start, PerTable<Progress>), CopyError> {
        self.lock().await?;
        let (start, check_before) = self.take(survey).await?;
        if start == Start::Afresh {
            self.refuse_nodes(check_before).await?;
        }
        if start != Start::Finished {
            self.drop_unused().await.map_err(failed)?;
        }
        Ok((start, self.note.progress))
    }

    async fn write(&mut self, batch: Batch, progress: Progress) -> Result<(), CopyError> {
        let mut note = self.note.clone();
        note.progress[batch.table()] = progress;
        self.write_rows(&batch.rows, &note).await.map_err(failed)?;
        self.note = note;
        Ok(())
    }

    async fn tally(&mut self) -> Result<Tally, CopyError> {
        self.count().await.map_err(failed)
    }

    async fn seal(&mut self, survey: &Survey) -> Result<(), CopyError> {
        self.declare_finished(survey).await.map_err(failed)
    }
}

/// Refuses a database that somebody has used. It begins with the event types that are shipped, and
/// a server that was started on it and found no user has left a link by which the first one is
/// made; that is no use of it.
async fn refuse_rows<C: GenericClient>(db: &Database<'_, C>, head: i64) -> Result<(), CopyError> {
    if head > 0 {
        return Err(CopyError::NotEmpty("events were published to it".into()));
    }
    for table in CopyTable::ALL {
        let (name, _) = lines::table(table);
        let sql = match table {
            CopyTable::Links => "SELECT FROM links WHERE purpose <> 'setup' LIMIT 1".to_owned(),
            // Whoever changed the catalog has left a line in the audit log.
            CopyTable::EventTypes => continue,
            _ => format!("SELECT FROM {name} LIMIT 1"),
        };
        if db.first(&sql, &[]).await.map_err(failed)?.is_some() {
            let what = format!("it holds rows in {name}: {}", table.as_str());
            return Err(CopyError::NotEmpty(what));
        }
    }
    Ok(())
}

/// Empties everything that a copy fills.
async fn clear<C: GenericClient>(db: &Database<'_, C>) -> Result<(), Failure> {
    let names: Vec<_> = CopyTable::ALL.map(|table| lines::table(table).0).to_vec();
    let sql = format!("TRUNCATE {}", names.join(", "));
    db.execute(&sql, &[]).await.map(drop)
}

async fn note<C: GenericClient>(
    db: &Database<'_, C>,
    name: &str,
) -> Result<Option<CopyNote>, CopyError> {
    let Some(value) = setting(db, name).await.map_err(failed)? else {
        return Ok(None);
    };
    let text = String::from_utf8(value).unwrap_or_default();
    let note = CopyNote::from_json(&text);
    note.map(Some)
        .ok_or_else(|| failed(Failure::unreadable("note of a copy")))
}

async fn setting<C: GenericClient>(
    db: &Database<'_, C>,
    name: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let sql = "SELECT value FROM settings WHERE name = $1";
    Ok(db.first(sql, &[&name]).await?.map(|row| row.get(0)))
}

async fn set<C: GenericClient>(
    db: &Database<'_, C>,
    name: &str,
    value: &[u8],
) -> Result<(), Failure> {
    db.execute(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
        &[&name, &value],
    )
    .await
    .map(drop)
}

async fn unset<C: GenericClient>(db: &Database<'_, C>, name: &str) -> Result<(), Failure> {
    db.execute("DELETE FROM settings WHERE name = $1", &[&name])
        .await
        .map(drop)
}

fn failed(failure: Failure) -> CopyError {
    CopyError::Store(StoreError::from(failure))
}

fn sql_failed(error: tokio_postgres::Error) -> CopyError {
    failed(Failure::from(error))
}
