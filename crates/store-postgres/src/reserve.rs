//! Promises not to publish twice: given in the transaction that appends, and kept for as long as
//! the publisher's key lives.
//!
//! Keys are asked for in one order on every node, so that two transactions that share some wait
//! for each other in a row. Whoever comes second waits until the first is committed, and then
//! finds what the key was used for.

use std::sync::Arc;

use deadpool_postgres::GenericClient;
use tidings_domain::{company::CompanyId, time::UtcMillis};
use tidings_store::{Appended, Idempotency, Publication};
use tokio_postgres::{Row, types::ToSql};

use crate::{database::Database, event_rows, failure::Failure};

/// Takes keys that are unused or expired, and returns those. Every row that it finds in its way
/// stays locked, and so stays.
pub(crate) const RESERVE: &str = "
    INSERT INTO idempotency (company_id, key, request_hash, first_position, events, expires_ms)
    SELECT k.company_id, k.key, k.request_hash, 0, k.events, k.expires_ms
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[])
        AS k (company_id, key, request_hash, events, expires_ms)
    ON CONFLICT (company_id, key) DO UPDATE
    SET seq = DEFAULT, request_hash = EXCLUDED.request_hash, first_position = 0,
        events = EXCLUDED.events, expires_ms = EXCLUDED.expires_ms
    WHERE idempotency.expires_ms <= $6
    RETURNING company_id, key";

/// The promises that some publications ask for, as columns in the order of their keys.
pub(crate) struct Promises<'p> {
    wanted: Vec<Wanted<'p>>,
    companies: Vec<&'p str>,
    keys: Vec<&'p str>,
    hashes: Vec<&'p [u8]>,
    events: Vec<i64>,
    expires_ms: Vec<i64>,
    now_ms: i64,
    /// Those that were given, with the place of their first event.
    given: (Vec<&'p str>, Vec<&'p str>, Vec<i64>),
}

struct Wanted<'p> {
    /// Its number among the publications.
    number: usize,
    company: &'p str,
    key: &'p str,
    hash: &'p [u8],
}

/// What a key was used for.
struct Used {
    request_hash: Vec<u8>,
    first: i64,
    events: i64,
}

impl<'p> Promises<'p> {
    /// Those of some publications; none where no publication asks for one.
    pub(crate) fn of(publications: &[&'p Publication]) -> Option<Self> {
        let mut asking: Vec<_> = (0..)
            .zip(publications)
            .filter_map(|(number, publication)| {
                let idempotency = publication.idempotency.as_ref()?;
                Some((number, *publication, idempotency))
            })
            .collect();
        asking.sort_unstable_by_key(|(_, publication, idempotency)| {
            (publication.company.as_str(), idempotency.key.as_str())
        });
        let now = asking.iter().map(|(_, one, _)| one.now).max()?;
        let mut promises = Self {
            wanted: Vec::new(),
            companies: Vec::new(),
            keys: Vec::new(),
            hashes: Vec::new(),
            events: Vec::new(),
            expires_ms: Vec::new(),
            now_ms: now.as_millis(),
            given: (Vec::new(), Vec::new(), Vec::new()),
        };
        for (number, publication, idempotency) in asking {
            let (company, key) = (publication.company.as_str(), idempotency.key.as_str());
            promises.companies.push(company);
            promises.keys.push(key);
            promises.hashes.push(&idempotency.request_hash);
            let events = i64::try_from(publication.events.len()).expect("a bounded publication");
            promises.events.push(events);
            promises.expires_ms.push(idempotency.expires.as_millis());
            promises.wanted.push(Wanted {
                number,
                company,
                key,
                hash: &idempotency.request_hash,
            });
        }
        Some(promises)
    }

    /// The parameters of [`RESERVE`].
    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 6] {
        [
            &self.companies,
            &self.keys,
            &self.hashes,
            &self.events,
            &self.expires_ms,
            &self.now_ms,
        ]
    }

    /// Takes in which keys were taken; answers for the others, by the number of the publication.
    pub(crate) async fn judge<C: GenericClient>(
        &self,
        db: &Database<'_, C>,
        taken: &[Row],
    ) -> Result<Vec<(usize, Appended)>, Failure> {
        let mut answers = Vec::new();
        if taken.len() == self.wanted.len() {
            return Ok(answers);
        }
        let taken: Vec<(&str, &str)> = taken.iter().map(|row| (row.get(0), row.get(1))).collect();
        for wanted in &self.wanted {
            if !taken.contains(&(wanted.company, wanted.key)) {
                let used = used(db, wanted, self.now_ms).await?;
                let lost = || Failure::Broken("a key is neither free nor used".to_owned());
                answers.push((wanted.number, used.ok_or_else(lost)?));
            }
        }
        Ok(answers)
    }

    /// Notes where the events of a publication begin whose key was taken: `place` is 1 for the
    /// first event of all that are appended.
    pub(crate) fn give(&mut self, publication: &'p Publication, place: i64) {
        let Some(idempotency) = &publication.idempotency else {
            return;
        };
        self.given.0.push(publication.company.as_str());
        self.given.1.push(&idempotency.key);
        self.given.2.push(place);
    }

    /// The last parameters of [`crate::append::APPEND_PROMISED`].
    pub(crate) fn fulfilment(&self) -> [&(dyn ToSql + Sync); 3] {
        [&self.given.0, &self.given.1, &self.given.2]
    }
}

/// What appending would answer because the key was used before.
pub(crate) async fn replayed<C: GenericClient>(
    db: &Database<'_, C>,
    company: &CompanyId,
    promise: &Idempotency,
    now: UtcMillis,
) -> Result<Option<Appended>, Failure> {
    let wanted = Wanted {
        number: 0,
        company: company.as_str(),
        key: &promise.key,
        hash: &promise.request_hash,
    };
    used(db, &wanted, now.as_millis()).await
}

/// What a key was used for that has not expired.
async fn used<C: GenericClient>(
    db: &Database<'_, C>,
    wanted: &Wanted<'_>,
    now_ms: i64,
) -> Result<Option<Appended>, Failure> {
    let row = db
        .first(
            "SELECT request_hash, first_position, events FROM idempotency
             WHERE company_id = $1 AND key = $2 AND expires_ms > $3",
            &[&wanted.company, &wanted.key, &now_ms],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let used = Used {
        request_hash: row.get(0),
        first: row.get(1),
        events: row.get(2),
    };
    if used.request_hash != wanted.hash {
        return Ok(Some(Appended::KeyReused));
    }
    // They have positions in a row, and retention leaves them alone as long as the key lives.
    let sql = format!(
        "SELECT {} FROM events
         WHERE company_id = $1 AND position >= $2 AND position < $2 + $3 ORDER BY position",
        event_rows::COLUMNS
    );
    let rows = db
        .query(&sql, &[&wanted.company, &used.first, &used.events])
        .await?;
    let events = rows
        .iter()
        .map(|row| Ok(Arc::new(event_rows::read(row, 0)?)))
        .collect::<Result<_, Failure>>()?;
    Ok(Some(Appended::Replayed(events)))
}
