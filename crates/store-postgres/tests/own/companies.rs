//! Which companies there are: in the order of their bytes, whatever the database's own order is,
//! and at the cost of the answer.

use tidings_domain::company::CompanyId;
use tidings_store::{Dashboards as _, EventLog as _, Publication};

use crate::nodes::{Node, WORKS, database, now, sql};

async fn named(node: &Node, prefix: &str, limit: usize) -> Vec<String> {
    let companies = node.store.companies(prefix, limit).await.expect(WORKS);
    companies.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn they_come_in_the_order_of_their_bytes() {
    let database = database();
    let node = Node::open(database.url()).await;
    sql(
        &database,
        "INSERT INTO subscriptions (id, company_id, url, event_types, enabled, managed_by,
             created_ms, updated_ms, version, epoch, book_version)
         SELECT gen_random_uuid(), name, 'https://a.example/', '[\"*\"]', true, 'api', 0, 0, 1, 0, 0
         FROM unnest(ARRAY['b', 'B', 'a_1', 'a-2', 'aB', 'ab', 'abc']) AS name,
             generate_series(1, 300)",
    );
    let publication = Publication {
        company: CompanyId::parse("ab-new").expect("a company id"),
        events: vec![node.event_of(&CompanyId::parse("ab-new").expect("a company id"))],
        idempotency: None,
        now: now(),
    };
    node.store.append(publication).await.expect(WORKS);
    let all = ["B", "a-2", "aB", "a_1", "ab", "ab-new", "abc", "b"];
    assert_eq!(named(&node, "", 100).await, all);
    assert_eq!(named(&node, "a", 3).await, all[1..4]);
    assert_eq!(named(&node, "ab", 100).await, all[4..7]);
    assert_eq!(named(&node, "abd", 100).await, [""; 0]);
    node.store.write_figures().await.expect(WORKS);
    assert_eq!(named(&node, "", 100).await, all);
}
