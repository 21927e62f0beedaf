//! Which companies there are: whoever has a subscription, a key or figures.
//!
//! Each of the three is looked through by jumping from one company to the next, so it takes as
//! long as the answer is, however many rows a company has.

use std::collections::BTreeSet;

use deadpool_postgres::GenericClient;
use tidings_domain::company::CompanyId;
use tidings_store::FigureCounts;

use crate::{database::Database, failure::Failure, look};

/// Tables that name companies, each with the rows that count.
const TABLES: [&str; 3] = [
    "subscriptions WHERE true",
    "api_keys WHERE true",
    "figures WHERE resolution = 3 AND subscription = 0 AND company_id <> ''",
];

/// Those in the database whose id begins with `prefix`, in the order of their ids, at most
/// `limit`.
pub(crate) async fn stored<C: GenericClient>(
    db: &Database<'_, C>,
    prefix: &str,
    limit: usize,
) -> Result<BTreeSet<CompanyId>, Failure> {
    let mut companies = BTreeSet::new();
    for rows in TABLES {
        // What does not begin with the prefix ends it: everything behind it does not, either.
        let sql = format!(
            "WITH RECURSIVE found AS (
                 (SELECT company_id COLLATE \"C\" AS company_id FROM {rows}
                      AND company_id COLLATE \"C\" >= $1
                  ORDER BY company_id COLLATE \"C\" LIMIT 1)
                 UNION ALL
                 SELECT next.company_id FROM found CROSS JOIN LATERAL (
                     SELECT company_id COLLATE \"C\" AS company_id FROM {rows}
                         AND company_id COLLATE \"C\" > found.company_id
                     ORDER BY company_id COLLATE \"C\" LIMIT 1) next
                 WHERE starts_with(found.company_id, $1))
             SELECT company_id FROM found WHERE starts_with(company_id, $1) LIMIT $2"
        );
        for row in db.query(&sql, &[&prefix, &look::limit(limit)]).await? {
            let company = CompanyId::parse(row.get(0));
            companies.insert(company.map_err(|_| Failure::unreadable("company id"))?);
        }
    }
    Ok(companies)
}

/// The same with those that have figures in memory alone.
pub(crate) fn with_counted(
    mut companies: BTreeSet<CompanyId>,
    counts: &FigureCounts,
    prefix: &str,
    limit: usize,
) -> Vec<CompanyId> {
    let counted = counts.companies();
    companies.extend(
        counted
            .filter(|company| company.as_str().starts_with(prefix))
            .cloned(),
    );
    companies.into_iter().take(limit).collect()
}
