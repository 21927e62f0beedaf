//! The events of a replay's window, found step by step.

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, subscription::EventTypes, time::UtcMillis};
use tidings_store::{Position, ReplayWindow, StoredSubscription};
use uuid::Uuid;

use crate::{
    database::Database,
    failure::Failure,
    look::{self, Look},
    poll,
    redelivery::REPLAY_STEP_MAX,
};

/// What to look for, and between which positions.
pub(crate) struct Window {
    pub(crate) company: CompanyId,
    pub(crate) types: EventTypes,
    pub(crate) since: UtcMillis,
    pub(crate) until: Option<UtcMillis>,
    /// Exclusive.
    pub(crate) after: Position,
    /// Inclusive.
    pub(crate) up_to: Position,
}

impl Window {
    /// What a subscription is to get again, of everything that is stored up to a position.
    pub(crate) fn of(stored: &StoredSubscription, window: ReplayWindow, up_to: Position) -> Self {
        Self {
            company: stored.subscription.company.clone(),
            types: stored.subscription.event_types.clone(),
            since: window.since,
            until: window.until,
            after: 0,
            up_to,
        }
    }
}

/// An event in the window.
pub(crate) struct InWindow {
    pub(crate) position: Position,
    pub(crate) id: Uuid,
}

/// One step through a window.
pub(crate) struct Step {
    pub(crate) events: Vec<InWindow>,
    /// Where the next step begins; none where nothing is left.
    pub(crate) after: Option<Position>,
}

/// Looks at a bounded number of events, and finds a bounded number of them.
pub(crate) async fn step<C: GenericClient>(
    db: &Database<'_, C>,
    window: &Window,
) -> Result<Step, Failure> {
    let wanted = format!(
        "({} AND created_ms >= $4 AND ($5::bigint IS NULL OR created_ms < $5))",
        poll::WANTED
    );
    let look = Look {
        order_by: "position",
        descending: false,
        columns: "id",
        from: "events WHERE company_id = $1 AND position > $2 AND position <= $6",
        wanted: &wanted,
        bytes: "0",
        limit: "$7",
    };
    let rows = db
        .query(
            &look.sql(),
            &[
                &window.company.as_str(),
                &window.after,
                &poll::like_forms(window.types.patterns()),
                &window.since.as_millis(),
                &window.until.map(UtcMillis::as_millis),
                &window.up_to,
                &look::limit(REPLAY_STEP_MAX),
            ],
        )
        .await?;
    let found = look::read(&rows, REPLAY_STEP_MAX, |row, at| {
        Ok(InWindow {
            position: row.get(0),
            id: row.get(at),
        })
    })?;
    Ok(Step {
        events: found.wanted,
        after: found.looked_at.filter(|_| found.has_more),
    })
}
