//! The catalog of event types: platform-wide, small, read by people and by who checks payloads.

use async_trait::async_trait;
use tidings_domain::{actor::Actor, catalog::CatalogType, event_type::EventType, time::UtcMillis};

use crate::StoreError;

/// What became of a type to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeSaved {
    /// It is new.
    Created,
    /// It was there, and is now as given.
    Replaced,
    /// It is new, and there are as many as there may be.
    Full,
}

/// The catalog of event types. A fresh database begins with
/// [`tidings_domain::catalog::shipped`]. Each change leaves a line in the audit log.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// All types, in the order of their names.
    async fn event_types(&self) -> Result<Vec<CatalogType>, StoreError>;

    /// One of them.
    async fn event_type(&self, name: &EventType) -> Result<Option<CatalogType>, StoreError>;

    /// Makes a type, or replaces it.
    async fn save_event_type(
        &self,
        entry: CatalogType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<TypeSaved, StoreError>;

    /// Removes a type; false where there is none such.
    async fn delete_event_type(
        &self,
        name: &EventType,
        now: UtcMillis,
        by: &Actor,
    ) -> Result<bool, StoreError>;

    /// A number that changes with every change of the catalog, on whichever node: who checks
    /// payloads asks for it, and reads the catalog anew where it is another.
    async fn catalog_version(&self) -> Result<i64, StoreError>;
}
