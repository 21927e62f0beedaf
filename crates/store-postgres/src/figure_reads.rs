//! Reading figures: what is in the table, and what this node has not written yet.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use hashbrown::HashMap;
use tidings_domain::{
    company::CompanyId,
    figures::{Figures, Resolution},
    id::SubscriptionId,
    time::UtcMillis,
};
use tidings_store::{CountedScope, FigureRow, FigureScope, Seq};
use uuid::Uuid;

use crate::{
    database::{self, Database},
    failure::Failure,
    figures::{self, SUMS},
    look,
    memory::Memory,
    store::Inner,
    subscription_rows,
};

/// A stretch of time, from its beginning to its end, exclusive.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) since: UtcMillis,
    pub(crate) until: UtcMillis,
}

/// Stretches by the millisecond in which they begin.
type Stretches = BTreeMap<i64, Figures>;

/// For each scope, its stretches.
pub(crate) async fn figures(
    inner: &Inner,
    scopes: &[FigureScope],
    resolution: Resolution,
    span: Span,
) -> Result<Vec<Vec<FigureRow>>, Failure> {
    let counted = &inner.memory.figures;
    let _still = counted.still().await;
    let client = database::borrow(&inner.pool).await?;
    let db = Database::new(&client, &inner.memory.metrics);
    let named = name(&db, &inner.memory, scopes).await?;
    let mut found = stretches(&db, &named, resolution, span).await?;
    counted.look(|counts| {
        for (stretches, named) in found.iter_mut().zip(&named) {
            if let Some((scope, _)) = named {
                counts.add_to(stretches, scope, resolution, span.since, span.until);
            }
        }
    });
    Ok(found.into_iter().map(FigureRow::in_order).collect())
}

/// A scope with its company's part of the key of its rows; none where there never was such a
/// subscription.
type Named = Option<(CountedScope, String)>;

/// Finds the numbers and companies of subscriptions, deleted ones included.
async fn name<C: GenericClient>(
    db: &Database<'_, C>,
    memory: &Memory,
    scopes: &[FigureScope],
) -> Result<Vec<Named>, Failure> {
    let ids: Vec<Uuid> = scopes
        .iter()
        .filter_map(|scope| match scope {
            FigureScope::Subscription(id) => Some(*id),
            FigureScope::Platform | FigureScope::Company(_) => None,
        })
        .filter(|id| memory.book.read().by_id(*id).is_none())
        .map(subscription_rows::uuid_of)
        .collect();
    let mut deleted = HashMap::new();
    if !ids.is_empty() {
        let sql = "SELECT id, seq, company_id FROM subscriptions WHERE id = ANY ($1)";
        for row in db.query(sql, &[&ids]).await? {
            let id: Uuid = row.get(0);
            deleted.insert(id, (row.get(1), row.get(2)));
        }
    }
    let book = memory.book.read();
    let subscription = |id: SubscriptionId| -> Option<(Seq, String)> {
        match book.by_id(id) {
            Some(entry) => Some((entry.seq, entry.endpoint.company.to_string())),
            None => deleted.get(&subscription_rows::uuid_of(id)).cloned(),
        }
    };
    let named = scopes.iter().map(|scope| match scope {
        FigureScope::Platform => Some((CountedScope::Platform, String::new())),
        FigureScope::Company(company) => {
            Some((CountedScope::Company(company.clone()), company.to_string()))
        }
        FigureScope::Subscription(id) => {
            subscription(*id).map(|(seq, company)| (CountedScope::Subscription(seq), company))
        }
    });
    Ok(named.collect())
}

async fn stretches<C: GenericClient>(
    db: &Database<'_, C>,
    named: &[Named],
    resolution: Resolution,
    span: Span,
) -> Result<Vec<Stretches>, Failure> {
    let subscriptions: Vec<Option<Seq>> = named
        .iter()
        .map(|named| {
            named.as_ref().map(|(scope, _)| match scope {
                CountedScope::Subscription(seq) => *seq,
                CountedScope::Platform | CountedScope::Company(_) => 0,
            })
        })
        .collect();
    let companies: Vec<Option<&str>> = named
        .iter()
        .map(|named| named.as_ref().map(|(_, company)| company.as_str()))
        .collect();
    let sums = SUMS.join(", ");
    let rows = db
        .query(
            &format!(
                "SELECT asked.place, f.start_ms, {sums}
                 FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY
                     AS asked (subscription, company_id, place)
                 CROSS JOIN LATERAL (SELECT * FROM figures
                     WHERE resolution = $3 AND subscription = asked.subscription
                         AND company_id = asked.company_id
                         AND start_ms >= $4 AND start_ms < $5) f"
            ),
            &[
                &subscriptions,
                &companies,
                &resolution.number(),
                &span.since.as_millis(),
                &span.until.as_millis(),
            ],
        )
        .await?;
    let mut found = vec![Stretches::new(); named.len()];
    for row in &rows {
        let place: i64 = row.get(0);
        let stretches = usize::try_from(place - 1)
            .ok()
            .and_then(|at| found.get_mut(at));
        let stretches =
            stretches.ok_or_else(|| Failure::Broken("figures came from nowhere".to_owned()))?;
        stretches.insert(row.get(1), figures::read(row, 2));
    }
    Ok(found)
}

/// The companies with the most attempts in sums of whole hours, the busiest first.
pub(crate) async fn busiest(
    inner: &Inner,
    span: Span,
    limit: usize,
) -> Result<Vec<(CompanyId, Figures)>, Failure> {
    let counted = &inner.memory.figures;
    let _still = counted.still().await;
    let mut sums = HashMap::new();
    counted.look(|counts| counts.add_companies_to(&mut sums, span.since, span.until));
    let client = database::borrow(&inner.pool).await?;
    let db = Database::new(&client, &inner.memory.metrics);
    // Whoever is among the busiest is so in the table, or has something in memory.
    let here: Vec<CompanyId> = sums.keys().cloned().collect();
    for (company, written) in sums_of_hours(&db, span, limit, &here).await? {
        sums.entry(company).or_default().add(&written);
    }
    let mut ranked: Vec<_> = sums.into_iter().collect();
    ranked.retain(|(_, figures)| figures.attempts() > 0);
    ranked.sort_by(|(a, of_a), (b, of_b)| of_b.attempts().cmp(&of_a.attempts()).then(a.cmp(b)));
    ranked.truncate(limit);
    Ok(ranked)
}

/// The sums of those who are busiest in the table, and of the companies `here`.
async fn sums_of_hours<C: GenericClient>(
    db: &Database<'_, C>,
    span: Span,
    limit: usize,
    here: &[CompanyId],
) -> Result<Vec<(CompanyId, Figures)>, Failure> {
    let here: Vec<&str> = here.iter().map(CompanyId::as_str).collect();
    let sums: Vec<_> = SUMS
        .iter()
        .map(|name| format!("sum({name})::bigint"))
        .collect();
    let rows = db
        .query(
            &format!(
                "WITH asked AS (
                     (SELECT company_id FROM figures
                      WHERE resolution = $1 AND subscription = 0 AND company_id <> ''
                          AND start_ms >= $2 AND start_ms < $3
                      GROUP BY company_id ORDER BY sum(succeeded + failed) DESC, company_id
                      LIMIT $4)
                     UNION SELECT unnest($5::text[]))
                 SELECT company_id, sums.*
                 FROM asked CROSS JOIN LATERAL (SELECT {} FROM figures f
                     WHERE f.resolution = $1 AND f.subscription = 0
                         AND f.company_id = asked.company_id
                         AND f.start_ms >= $2 AND f.start_ms < $3
                     HAVING count(*) > 0) sums",
                sums.join(", ")
            ),
            &[
                &Resolution::Hour.number(),
                &span.since.as_millis(),
                &span.until.as_millis(),
                &look::limit(limit),
                &here,
            ],
        )
        .await?;
    let read = rows.iter().map(|row| {
        let company = CompanyId::parse(row.get(0));
        let company = company.map_err(|_| Failure::unreadable("company id"))?;
        Ok((company, figures::read(row, 1)))
    });
    read.collect()
}
