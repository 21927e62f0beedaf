//! The proof that a commit is possible: one.

use crate::{batch::Batch, failure::Failure};

/// Writes one small row. Only somebody who asks whether the store is ready causes it, and only
/// where nothing else has been committed just now.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "every use case takes its input by reference"
)]
pub(crate) fn write(batch: &mut Batch<'_, '_>, (): &()) -> Result<(), Failure> {
    batch
        .db()?
        .execute(
            "INSERT INTO settings (name, value) VALUES ('probe', 1)
             ON CONFLICT (name) DO UPDATE SET value = (value + 1) % 1000000",
            [],
        )
        .map(drop)
}
