//! The catalog of event types: its rows, and what changes them.

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use tidings_domain::{
    actor::Actor,
    audit::AuditEntry,
    catalog::{CATALOG_TYPES_MAX, CatalogType, shipped},
    event_type::EventType,
    time::UtcMillis,
};
use tidings_store::{Catalog, StoreError, TypeSaved, audit_log as lines};
use tokio_postgres::Row;

use crate::{
    PostgresStore, audit_log,
    database::{self, Access, Database},
    failure::Failure,
};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "name, description, sample_payload, schema, deprecated";

const INSERT: &str =
    "INSERT INTO event_types (name, description, sample_payload, schema, deprecated)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description,
         sample_payload = EXCLUDED.sample_payload, schema = EXCLUDED.schema,
         deprecated = EXCLUDED.deprecated";

#[async_trait]
impl Catalog for PostgresStore {
    async fn event_types(&self) -> Result<Vec<CatalogType>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(list(&db).await?)
    }

    async fn event_type(&self, name: &EventType) -> Result<Option<CatalogType>, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(find(&db, name).await?)
    }

    async fn save_event_type(
        &self,
        entry: CatalogType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<TypeSaved, StoreError> {
        Ok(save(self.access(), &entry, now, by).await?)
    }

    async fn delete_event_type(
        &self,
        name: &EventType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError> {
        Ok(delete(self.access(), name, now, by).await?)
    }

    async fn catalog_version(&self) -> Result<i64, StoreError> {
        let client = database::borrow(&self.inner.pool).await?;
        let db = Database::new(&client, &self.inner.memory.metrics);
        Ok(version(&db).await?)
    }
}

/// Fills the catalog of a database that has just got one.
pub(crate) async fn ship<C: GenericClient>(client: &C) -> Result<(), Failure> {
    for entry in shipped() {
        client
            .execute(
                INSERT,
                &[
                    &entry.name.as_str(),
                    &entry.description.as_bytes(),
                    &entry.sample_payload.as_ref().map(String::as_bytes),
                    &entry.schema.as_ref().map(String::as_bytes),
                    &entry.deprecated,
                ],
            )
            .await?;
    }
    Ok(())
}

/// All types, in the order of their names.
pub(crate) async fn list<C: GenericClient>(
    db: &Database<'_, C>,
) -> Result<Vec<CatalogType>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM event_types ORDER BY name");
    db.query(&sql, &[]).await?.iter().map(read).collect()
}

/// One of them.
pub(crate) async fn find<C: GenericClient>(
    db: &Database<'_, C>,
    name: &EventType,
) -> Result<Option<CatalogType>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM event_types WHERE name = $1");
    let row = db.first(&sql, &[&name.as_str()]).await?;
    row.map(|row| read(&row)).transpose()
}

/// The number that goes up with each change.
pub(crate) async fn version<C: GenericClient>(db: &Database<'_, C>) -> Result<i64, Failure> {
    let row = db.first("SELECT version FROM catalog_state", &[]).await?;
    row.map(|row| row.get(0))
        .ok_or_else(|| Failure::unreadable("state of the catalog"))
}

/// Makes a type, or replaces it.
pub(crate) async fn save(
    access: Access<'_>,
    entry: &CatalogType,
    now: UtcMillis,
    by: &Actor,
) -> Result<TypeSaved, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    // Changes of the catalog wait for each other here, so that what is found stays so.
    count_up(&db).await?;
    let before = find(&db, &entry.name).await?;
    if before.is_none() && count(&db).await? >= CATALOG_TYPES_MAX {
        return Ok(TypeSaved::Full);
    }
    db.execute(
        INSERT,
        &[
            &entry.name.as_str(),
            &entry.description.as_bytes(),
            &entry.sample_payload.as_ref().map(String::as_bytes),
            &entry.schema.as_ref().map(String::as_bytes),
            &entry.deprecated,
        ],
    )
    .await?;
    let line = lines::event_type_saved(before.as_ref(), entry, now, by);
    commit(transaction, access, &line).await?;
    Ok(match before {
        Some(_) => TypeSaved::Replaced,
        None => TypeSaved::Created,
    })
}

/// Removes a type; false where there is none such.
pub(crate) async fn delete(
    access: Access<'_>,
    name: &EventType,
    now: UtcMillis,
    by: &Actor,
) -> Result<bool, Failure> {
    let mut client = database::borrow(access.pool).await?;
    let transaction = client.transaction().await?;
    let db = Database::new(&transaction, access.metrics);
    count_up(&db).await?;
    let sql = "DELETE FROM event_types WHERE name = $1";
    if db.execute(sql, &[&name.as_str()]).await? == 0 {
        return Ok(false);
    }
    commit(
        transaction,
        access,
        &lines::event_type_deleted(name, now, by),
    )
    .await?;
    Ok(true)
}

async fn commit(
    transaction: deadpool_postgres::Transaction<'_>,
    access: Access<'_>,
    line: &AuditEntry,
) -> Result<(), Failure> {
    audit_log::write(&Database::new(&transaction, access.metrics), line).await?;
    Ok(transaction.commit().await?)
}

async fn count_up<C: GenericClient>(db: &Database<'_, C>) -> Result<(), Failure> {
    let sql = "UPDATE catalog_state SET version = version + 1";
    db.execute(sql, &[]).await.map(drop)
}

async fn count<C: GenericClient>(db: &Database<'_, C>) -> Result<usize, Failure> {
    let row = db.first("SELECT count(*) FROM event_types", &[]).await?;
    let count: i64 = row.map_or(0, |row| row.get(0));
    Ok(usize::try_from(count).unwrap_or(0))
}

fn read(row: &Row) -> Result<CatalogType, Failure> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| Failure::unreadable("type of the catalog"))
    };
    let optional = |column: usize| row.get::<_, Option<Vec<u8>>>(column).map(text).transpose();
    Ok(CatalogType {
        name: EventType::parse(row.get(0)).map_err(|_| Failure::unreadable("event type"))?,
        description: text(row.get(1))?,
        sample_payload: optional(2)?,
        schema: optional(3)?,
        deprecated: row.get(4),
    })
}
