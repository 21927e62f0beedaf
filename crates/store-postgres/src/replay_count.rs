//! How many deliveries a replay would ask for: the same walk through the window, and nothing
//! written.

use tidings_domain::{company::CompanyId, id::SubscriptionId};
use tidings_store::{Again, ReplayCount, ReplayWindow};
use tokio_postgres::IsolationLevel;

use crate::{
    database::{self, Database},
    failure::Failure,
    poll,
    redelivery::{self, Known, Target},
    store::Inner,
    window::{self, Window},
};

/// Steps of a window that are counted; each looks at some thousands of events.
const STEPS_MAX: usize = 100;

/// Which window to count, and how far.
pub(crate) struct Count<'c> {
    pub(crate) company: Option<&'c CompanyId>,
    pub(crate) subscription: SubscriptionId,
    pub(crate) window: ReplayWindow,
    pub(crate) count_max: u64,
}

/// Counts what a replay would ask for now, all of it as of one moment.
pub(crate) async fn count(inner: &Inner, count: &Count<'_>) -> Result<ReplayCount, Failure> {
    let mut client = database::borrow(&inner.pool).await?;
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let db = Database::new(&transaction, &inner.memory.metrics);
    let stored = match redelivery::target(&db, count.company, count.subscription).await? {
        Target::Live(stored) => stored,
        Target::None => return Ok(ReplayCount::NoSubscription),
        Target::Disabled => return Ok(ReplayCount::Disabled),
    };
    let mut window = Window::of(&stored, count.window, poll::head(&db).await?);
    let mut counted = 0;
    for _ in 0..STEPS_MAX {
        let found = window::step(&db, &window).await?;
        let known = redelivery::known(&db, &stored, &found.events).await?;
        let nothing = Known::default();
        let again = found.events.iter().filter(|event| {
            let known = known.get(&event.position).unwrap_or(&nothing);
            known.again(count.window.scope) != Again::Leave
        });
        counted += again.count() as u64;
        if counted > count.count_max {
            return Ok(ReplayCount::AtLeast(count.count_max));
        }
        match found.after {
            Some(place) => window.after = place,
            None => return Ok(ReplayCount::Exactly(counted)),
        }
    }
    Ok(ReplayCount::AtLeast(counted))
}
