//! What people look at: figures from the table and from memory, what waits for a company, which
//! companies and event types there are.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use rusqlite::{Connection, Statement};
use tidings_domain::{
    company::CompanyId,
    event_type::EventType,
    figures::{Figures, Resolution},
    id::SubscriptionId,
    time::UtcMillis,
};
use tidings_store::{Backlog, CompanyBacklog, CountedScope, FigureRow, FigureScope, Seq};

use crate::{
    backlog, database::first_of, failure::Failure, figure_memory::Snapshot, figure_rows,
    memory::Memory,
};

/// Events among which types are looked for.
const TYPES_LOOK_MAX: usize = 5000;

/// Which stretches of time.
pub(crate) struct Stretches {
    pub(crate) scopes: Vec<FigureScope>,
    pub(crate) resolution: Resolution,
    pub(crate) since: UtcMillis,
    pub(crate) until: UtcMillis,
}

/// The figures of each scope; none where they were being written meanwhile, so that the snapshot
/// does not go with what is in memory.
pub(crate) fn figures(
    conn: &Connection,
    memory: &Memory,
    wanted: &Stretches,
) -> Result<Option<Vec<Vec<FigureRow>>>, Failure> {
    let Stretches {
        resolution,
        since,
        until,
        ..
    } = *wanted;
    let number = figure_rows::last_written(conn)?;
    let mut found = Vec::with_capacity(wanted.scopes.len());
    for scope in &wanted.scopes {
        // There is nothing of a subscription that never was.
        let Some((scope, company)) = counted_scope(conn, scope)? else {
            found.push(None);
            continue;
        };
        let rows = figure_rows::of_scope(conn, &scope, &company, resolution, since, until)?;
        found.push(Some((scope, rows)));
    }
    let lacking = memory.figures.lacking(number, |counts| {
        for (scope, rows) in found.iter_mut().flatten() {
            counts.add_to(rows, scope, resolution, since, until);
        }
    });
    if lacking == Snapshot::Old {
        return Ok(None);
    }
    let rows = found.into_iter();
    let rows = rows.map(|found| found.map_or_else(Vec::new, |(_, rows)| FigureRow::in_order(rows)));
    Ok(Some(rows.collect()))
}

/// The companies with the most attempts, the busiest first; none as for [`figures`].
pub(crate) fn busiest_companies(
    conn: &Connection,
    memory: &Memory,
    since: UtcMillis,
    until: UtcMillis,
    limit: usize,
) -> Result<Option<Vec<(CompanyId, Figures)>>, Failure> {
    let number = figure_rows::last_written(conn)?;
    let mut sums: HashMap<CompanyId, Figures> = HashMap::new();
    figure_rows::add_hours(conn, since, until, &mut sums)?;
    let lacking = memory.figures.lacking(number, |counts| {
        counts.add_companies_to(&mut sums, since, until);
    });
    if lacking == Snapshot::Old {
        return Ok(None);
    }
    let mut companies: Vec<_> = sums.into_iter().collect();
    companies.sort_unstable_by(|(a, of_a), (b, of_b)| {
        let most_first = of_b.attempts().cmp(&of_a.attempts());
        most_first.then_with(|| a.cmp(b))
    });
    companies.truncate(limit);
    Ok(Some(companies))
}

/// What waits for a company: how many from memory, since when from a bounded look at the queue.
pub(crate) fn company_backlog(
    conn: &Connection,
    memory: &Memory,
    company: &CompanyId,
    count_max: u64,
) -> Result<CompanyBacklog, Failure> {
    let mut statement = conn.prepare_cached(
        "SELECT seq FROM subscriptions INDEXED BY subscriptions_by_company WHERE company_id = ?",
    )?;
    let theirs = statement.query_map([company.as_str()], |row| row.get(0))?;
    let theirs: Vec<Seq> = theirs.collect::<Result<_, _>>()?;
    let owing: Vec<(Seq, u64)> = {
        let owed = memory.owed_by_subscription.lock();
        let owing = theirs
            .iter()
            .filter_map(|seq| Some((*seq, *owed.get(seq)?)));
        owing.collect()
    };
    let owed: u64 = owing.iter().map(|(_, owed)| owed).sum();
    let owing: Vec<Seq> = owing.into_iter().map(|(seq, _)| seq).collect();
    Ok(CompanyBacklog {
        backlog: Backlog {
            owed: owed.min(count_max),
            oldest: backlog::oldest_of(conn, &owing)?,
        },
        more: owed > count_max,
    })
}

/// Companies whose id begins with `prefix`, found by going from id to id in each index.
pub(crate) fn companies(
    conn: &Connection,
    memory: &Memory,
    prefix: &str,
    limit: usize,
) -> Result<Vec<CompanyId>, Failure> {
    const SOURCES: [&str; 3] = [
        "subscriptions WHERE",
        "api_keys WHERE",
        "figures WHERE
         resolution = 3 AND subscription = 0 AND company_id <> '' AND",
    ];
    let mut found: BTreeSet<CompanyId> = BTreeSet::new();
    memory.figures.each(|counts| {
        let theirs = counts
            .companies()
            .filter(|id| id.as_str().starts_with(prefix));
        found.extend(theirs.cloned());
    });
    for source in SOURCES {
        let select = |comparison: &str| {
            format!(
                "SELECT company_id FROM {source} company_id {comparison} ?
                 ORDER BY company_id LIMIT 1"
            )
        };
        let mut first = conn.prepare_cached(&select(">="))?;
        let mut further = conn.prepare_cached(&select(">"))?;
        let mut place = next_company(&mut first, prefix)?;
        for _ in 0..limit {
            let Some(id) = place.filter(|id| id.starts_with(prefix)) else {
                break;
            };
            place = next_company(&mut further, &id)?;
            let id = CompanyId::parse(&id).map_err(|_| Failure::unreadable("company id"))?;
            found.insert(id);
        }
    }
    Ok(found.into_iter().take(limit).collect())
}

/// The event types among a company's newest events, by the index alone.
pub(crate) fn recent_types(
    conn: &Connection,
    company: &CompanyId,
) -> Result<Vec<EventType>, Failure> {
    let unreadable = || Failure::unreadable("event type");
    let mut statement = conn.prepare_cached(
        "SELECT type FROM events INDEXED BY events_by_company
         WHERE company_id = ? ORDER BY position DESC",
    )?;
    let mut rows = statement.query([company.as_str()])?;
    let mut types: BTreeSet<EventType> = BTreeSet::new();
    let mut looked = 0;
    while let Some(row) = rows.next()?
        && looked < TYPES_LOOK_MAX
    {
        looked += 1;
        let event_type = row.get_ref(0)?.as_str().map_err(|_| unreadable())?;
        types.insert(EventType::parse(event_type).map_err(|_| unreadable())?);
    }
    Ok(types.into_iter().collect())
}

fn next_company(statement: &mut Statement<'_>, place: &str) -> Result<Option<String>, Failure> {
    first_of(statement, [place], |row| Ok(row.get(0)?))
}

/// A scope by the numbers of the database, and the company where the scope does not say it.
fn counted_scope(
    conn: &Connection,
    scope: &FigureScope,
) -> Result<Option<(CountedScope, String)>, Failure> {
    Ok(match scope {
        FigureScope::Platform => Some((CountedScope::Platform, String::new())),
        FigureScope::Company(company) => {
            Some((CountedScope::Company(company.clone()), String::new()))
        }
        FigureScope::Subscription(id) => subscription(conn, *id)?
            .map(|(seq, company)| (CountedScope::Subscription(seq), company)),
    })
}

/// The number and the company of a subscription, deleted ones included.
fn subscription(conn: &Connection, id: SubscriptionId) -> Result<Option<(Seq, String)>, Failure> {
    let mut statement =
        conn.prepare_cached("SELECT seq, company_id FROM subscriptions WHERE id = ?")?;
    first_of(&mut statement, [id.as_bytes()], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}
