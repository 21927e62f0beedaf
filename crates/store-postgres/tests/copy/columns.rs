//! Every column of every table, and the numbers that come next: rows made by hand, so that each
//! value is there and is another one.

use std::sync::Arc;

use rusqlite::{Connection, types::ValueRef};
use tidings_domain::random::{Random, SeededRandom};
use tidings_store::Upkeep as _;
use tidings_test_cluster::Cluster;

use crate::ends::{Directory, copy_all, open_sqlite};

/// Texts with what is special to somebody, and with U+0000.
const ROWS: &str = r#"
INSERT INTO api_keys VALUES
    (3, randomblob(16), randomblob(32), 'a\b|"''' || char(0), 'acme', '["admin"]', 11, 12, 13, 14),
    (5, randomblob(16), randomblob(32), 'grün', NULL, '[]', NULL, 15, NULL, NULL);
INSERT INTO subscriptions VALUES
    (2, randomblob(16), 'acme', 'https://a.example/', '["a.*"]', '\N' || char(0), 1, NULL, 'api',
     21, 22, 23, 24, x'0001', x'0203', 25, NULL, 91, 'open', 92, 93),
    (4, randomblob(16), 'umbrella', 'https://b.example/', '["*"]', NULL, 0, 'gone', 'portal',
     26, 27, 28, 29, NULL, NULL, NULL, 30, NULL, 'closed', NULL, NULL);
INSERT INTO subscription_history VALUES (2, 0, '["a.*"]', 1, 31), (2, 7, '["b"]', 0, 32),
    (4, 3, '["*"]', 1, 33);
INSERT INTO events VALUES
    (6, randomblob(16), 'acme', 'a.b', 41, 42, '{"a": 1.50, "b": "\u0000"}', NULL),
    (8, randomblob(16), 'umbrella', 'c', 43, 44, '{}', '{"m": "ü"}');
INSERT INTO queue VALUES
    (6, 2, 0, 51, 9, 52, 53, 54, 55), (6, 2, 1, 56, -1, 57, 0, NULL, 58),
    (8, 4, 2, 59, 0, 60, 61, NULL, 62);
INSERT INTO attempts
    SELECT 70, randomblob(16), 4, 8, id, 2, 'c', 71, 72, 73, 'timeout', 503, 74, 1,
        'https://b.example/', 'Tidings/0', x'000102', '[["a","b"]]', 1, 'no' || char(0)
    FROM events WHERE position = 8;
INSERT INTO attempts
    SELECT 75, randomblob(16), 2, 6, id, 0, 'a.b', 76, 77, 78, NULL, NULL, NULL, 0,
        'https://a.example/', '', NULL, NULL, 0, ''
    FROM events WHERE position = 6;
INSERT INTO idempotency VALUES (80, 'acme', 'k|"', randomblob(32), 6, 1, 81),
    (82, 'umbrella', 'k', randomblob(32), 8, 1, 83);
INSERT INTO users VALUES (84, randomblob(16), 'ada@example.com', '$argon2id$x', 101, 102),
    (86, randomblob(16), 'bob@example.com', '$argon2id$y', 103, NULL);
INSERT INTO links VALUES (87, randomblob(32), 'enter', 'acme', 'viewer', 104),
    (88, randomblob(32), 'setup', NULL, NULL, 105);
INSERT INTO sessions
    SELECT 89, randomblob(32), id, NULL, NULL, 106, 107 FROM users WHERE seq = 84;
INSERT INTO sessions VALUES (90, randomblob(32), NULL, 'umbrella', 'admin', 108, 109);
INSERT INTO audit_log VALUES
    (91, 110, 'acme', 'key', randomblob(16), 'a|"''' || char(0), '2001:db8::1', 'key.revoked',
     'key_1' || char(0), '[{"field":"name","before":"\u0000","after":null}]'),
    (92, 111, NULL, 'server', NULL, NULL, NULL, 'user.created', '', '[]');
INSERT INTO figures VALUES
    (1, 0, '', 120000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17),
    (3, 2, 'acme', 3600000, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37);
DELETE FROM event_types;
INSERT INTO event_types VALUES
    (501, 'client.created', 'a|"''' || char(0), '{"a": 1.50, "b": "\u0000"}',
     '{"type":"object"}', 1),
    (503, 'a.b', '', NULL, NULL, 0);
INSERT OR REPLACE INTO settings VALUES ('position_floor', 100), ('attempt_floor', 200);
INSERT INTO leases VALUES (300, 0);
UPDATE sqlite_sequence SET seq = 400 WHERE name = 'subscriptions';
"#;

/// A table: its columns in both databases alike, bytes and texts of any kind, truths, and what it
/// is ordered by.
const TABLES: [(&str, &str, &str, &str, &str); 12] = [
    (
        "api_keys",
        "seq, company_id, scopes, expires_ms, created_ms, last_used_ms, revoked_ms",
        "id, hash, name",
        "",
        "seq",
    ),
    (
        "subscriptions",
        "seq, company_id, url, event_types, disabled_reason, managed_by, created_ms, updated_ms, \
         version, epoch, previous_until_ms, deleted_ms, max_per_second, breaker, open_until_ms, \
         failing_since_ms",
        "id, description, secret, previous_secret",
        "enabled",
        "seq",
    ),
    (
        "subscription_history",
        "subscription, after_position, event_types, epoch",
        "",
        "enabled",
        "subscription, after_position",
    ),
    (
        "events",
        "position, company_id, type, created_ms, stored_ms",
        "id, payload, metadata",
        "",
        "position",
    ),
    (
        "idempotency",
        "seq, company_id, key, first_position, events, expires_ms",
        "request_hash",
        "",
        "seq",
    ),
    (
        "attempts",
        "seq, subscription, position, round, event_type, number, attempted_ms, elapsed_ms, error, \
         status, next_attempt_ms, url, user_agent",
        "id, event_id, signatures, response_headers, response_body",
        "ended, body_truncated",
        "seq",
    ),
    (
        "users",
        "seq, email, password_hash, created_ms, last_sign_in_ms",
        "id",
        "",
        "seq",
    ),
    (
        "links",
        "seq, purpose, company_id, role, expires_ms",
        "hash",
        "",
        "seq",
    ),
    (
        "sessions",
        "seq, company_id, role, created_ms, expires_ms",
        "hash, user_id",
        "",
        "seq",
    ),
    (
        "audit_log",
        "seq, at_ms, company_id, actor_kind, address, action",
        "actor_id, actor_name, target, changes",
        "",
        "seq",
    ),
    (
        "figures",
        "resolution, subscription, company_id, start_ms, published, succeeded, failed, elapsed_2, \
         elapsed_5, elapsed_10, elapsed_25, elapsed_50, elapsed_100, elapsed_250, elapsed_500, \
         elapsed_1000, elapsed_2500, elapsed_5000, elapsed_10000, elapsed_30000, elapsed_more",
        "",
        "",
        "resolution, subscription",
    ),
    (
        "event_types",
        "seq, name",
        "description, sample_payload, schema",
        "deprecated",
        "seq",
    ),
];

fn each(columns: &str, form: impl Fn(&str) -> String) -> Vec<String> {
    let names = columns.split(", ").filter(|name| !name.is_empty());
    names.map(form).collect()
}

/// As `psql` prints it: a row per line, columns separated by `|`, nothing for NULL.
fn of_file(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let shown = (0..columns).map(|column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => panic!("{other:?}"),
            })
        });
        Ok(shown.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
    });
    let rows: rusqlite::Result<Vec<_>> = rows.unwrap().collect();
    rows.unwrap().join("\n")
}

#[tokio::test]
async fn every_value_arrives_and_numbers_go_on_beyond() {
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(31));
    let (directory, database) = (Directory::new(), Cluster::shared().database());
    let sql = |sql: &str| Cluster::shared().sql(database.name(), sql);
    let store = open_sqlite(&directory.database(), &random);
    store.close().await.unwrap();
    let file = Connection::open(directory.database()).unwrap();
    file.execute_batch(ROWS).unwrap();
    copy_all(&directory.database(), database.url())
        .await
        .unwrap();

    for (table, plain, bytes, truths, order) in TABLES {
        let both = each(plain, str::to_owned);
        let bytes_of_file = each(bytes, |name| {
            format!("CASE WHEN {name} IS NOT NULL THEN lower(hex(CAST({name} AS BLOB))) END")
        });
        let bytes_here = each(bytes, |name| match name {
            "id" | "event_id" | "user_id" | "actor_id" => {
                format!("encode(uuid_send({name}), 'hex')")
            }
            _ => format!("encode({name}, 'hex')"),
        });
        let truths_here = each(truths, |name| format!("{name}::int"));
        let there = [both.clone(), bytes_of_file, each(truths, str::to_owned)].concat();
        let here = [both, bytes_here, truths_here].concat();
        let select = |columns: Vec<String>| {
            format!(
                "SELECT {} FROM {table} ORDER BY {order}",
                columns.join(", ")
            )
        };
        let expected = of_file(&file, &select(there));
        assert!(expected.lines().count() >= 2, "{table}: {expected}");
        assert_eq!(sql(&select(here)), expected, "{table}");
    }
    // Nobody holds what was held, and what is kept for the trace is kept.
    let owed = "SELECT q.position, subscription, round, company_id, due_ms, epoch, attempts,
                    first_attempt_ms, owed_since_ms";
    let expected = of_file(
        &file,
        &format!(
            "{owed}, min(holder, 0) FROM queue q JOIN events e USING (position) ORDER BY 1, 2, 3"
        ),
    );
    let found = sql(&format!("{owed}, holder FROM queue q ORDER BY 1, 2, 3"));
    assert_eq!(found, expected);
    let foreign = "SELECT count(*) FROM queue q JOIN events e USING (position)
                   WHERE q.event_id <> e.id OR q.company_id <> e.company_id";
    assert_eq!(sql(foreign), "0");
    for table in ["attempts", "subscription_history"] {
        let companies = format!(
            "SELECT string_agg(DISTINCT t.company_id, ' ') FROM {table} t
             JOIN subscriptions s ON s.seq = t.subscription AND s.company_id = t.company_id"
        );
        assert_eq!(sql(&companies), "acme umbrella", "{table}");
    }

    assert_eq!(sql("SELECT position FROM log_heads"), "100");
    for (sequence, highest) in [
        ("attempt_numbers", 200),
        ("subscriptions_seq_seq", 400),
        ("api_keys_seq_seq", 5),
        ("idempotency_seq_seq", 82),
        ("leases_id_seq", 300),
        ("users_seq_seq", 86),
        ("links_seq_seq", 88),
        ("sessions_seq_seq", 90),
        ("audit_log_seq_seq", 92),
        ("event_types_seq_seq", 503),
    ] {
        let next = sql(&format!("SELECT nextval('{sequence}')"));
        assert_eq!(next, (highest + 1).to_string(), "{sequence}");
    }
}
