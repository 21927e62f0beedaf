//! The catalog of event types: its rows, and what changes them.

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction};
use tidings_domain::{
    actor::Actor,
    catalog::{CATALOG_TYPES_MAX, CatalogType, shipped},
    event_type::EventType,
    time::UtcMillis,
};
use tidings_store::{Catalog, StoreError, TypeSaved, audit_log};

use crate::{
    SqliteStore, audit_rows,
    batch::Batch,
    database::{Database, first_of},
    failure::Failure,
};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "name, description, sample_payload, schema, deprecated";

const INSERT: &str =
    "INSERT INTO event_types (name, description, sample_payload, schema, deprecated)
     VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET description = excluded.description,
         sample_payload = excluded.sample_payload, schema = excluded.schema,
         deprecated = excluded.deprecated";

/// A type to be made or replaced.
pub(crate) struct Saving {
    pub(crate) entry: CatalogType,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

/// A type to be removed.
pub(crate) struct Removal {
    pub(crate) name: EventType,
    pub(crate) now: UtcMillis,
    pub(crate) by: Actor,
}

#[async_trait]
impl Catalog for SqliteStore {
    async fn event_types(&self) -> Result<Vec<CatalogType>, StoreError> {
        self.inner.readers.read(list).await
    }

    async fn event_type(&self, name: &EventType) -> Result<Option<CatalogType>, StoreError> {
        let name = name.clone();
        let read = move |conn: &_| find(conn, &name);
        self.inner.readers.read(read).await
    }

    async fn save_event_type(
        &self,
        entry: CatalogType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<TypeSaved, StoreError> {
        let by = by.clone();
        self.inner.change(Saving { entry, now, by }, save).await
    }

    async fn delete_event_type(
        &self,
        name: &EventType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        let (name, by) = (name.clone(), by.clone());
        self.inner.change(Removal { name, now, by }, delete).await
    }

    async fn catalog_version(&self) -> Result<i64, StoreError> {
        self.inner.readers.read(version).await
    }
}

/// Fills the catalog of a database that has just got one.
pub(crate) fn ship(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for entry in shipped() {
        tx.execute(INSERT, values(&entry))?;
    }
    Ok(())
}

/// All types, in the order of their names.
pub(crate) fn list(conn: &Connection) -> Result<Vec<CatalogType>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM event_types ORDER BY name");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut types = Vec::new();
    while let Some(row) = rows.next()? {
        types.push(read(row)?);
    }
    Ok(types)
}

/// One of them.
pub(crate) fn find(conn: &Connection, name: &EventType) -> Result<Option<CatalogType>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM event_types WHERE name = ?");
    let mut statement = conn.prepare_cached(&sql)?;
    first_of(&mut statement, [name.as_str()], read)
}

/// The number that goes up with each change.
pub(crate) fn version(conn: &Connection) -> Result<i64, Failure> {
    let mut statement = conn.prepare_cached("SELECT version FROM catalog_state")?;
    let version = first_of(&mut statement, [], |row| Ok(row.get(0)?))?;
    version.ok_or_else(|| Failure::unreadable("state of the catalog"))
}

/// Makes a type, or replaces it.
pub(crate) fn save(batch: &mut Batch<'_, '_>, saving: &Saving) -> Result<TypeSaved, Failure> {
    let db = batch.db()?;
    let before = find(db.connection(), &saving.entry.name)?;
    if before.is_none() && count(db)? >= CATALOG_TYPES_MAX {
        return Ok(TypeSaved::Full);
    }
    db.execute(INSERT, values(&saving.entry))?;
    let line = audit_log::event_type_saved(before.as_ref(), &saving.entry, saving.now, &saving.by);
    changed(db, &line)?;
    Ok(match before {
        Some(_) => TypeSaved::Replaced,
        None => TypeSaved::Created,
    })
}

/// Removes a type; false where there is none such.
pub(crate) fn delete(batch: &mut Batch<'_, '_>, removal: &Removal) -> Result<bool, Failure> {
    let db = batch.db()?;
    let sql = "DELETE FROM event_types WHERE name = ?";
    if db.execute(sql, [removal.name.as_str()])? == 0 {
        return Ok(false);
    }
    let line = audit_log::event_type_deleted(&removal.name, removal.now, &removal.by);
    changed(db, &line)?;
    Ok(true)
}

fn changed(db: &Database, line: &tidings_domain::audit::AuditEntry) -> Result<(), Failure> {
    db.execute("UPDATE catalog_state SET version = version + 1", [])?;
    audit_rows::insert(db, line)
}

fn count(db: &Database) -> Result<usize, Failure> {
    let count = db.first("SELECT count(*) FROM event_types", [], |row| {
        Ok(row.get::<_, i64>(0)?)
    })?;
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
}

type Values<'v> = (&'v str, &'v str, Option<&'v str>, Option<&'v str>, bool);

fn values(entry: &CatalogType) -> Values<'_> {
    (
        entry.name.as_str(),
        &entry.description,
        entry.sample_payload.as_deref(),
        entry.schema.as_deref(),
        entry.deprecated,
    )
}

fn read(row: &Row<'_>) -> Result<CatalogType, Failure> {
    let name: String = row.get(0)?;
    Ok(CatalogType {
        name: EventType::parse(&name).map_err(|_| Failure::unreadable("event type"))?,
        description: row.get(1)?,
        sample_payload: row.get(2)?,
        schema: row.get(3)?,
        deprecated: row.get(4)?,
    })
}
