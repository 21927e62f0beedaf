-- Times are milliseconds since the Unix epoch. Ids are the 16 bytes behind the shown form.
-- `subscription` is always subscriptions.seq: a small number keeps rows and indexes small.

-- Single facts about this database, by name.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened; append-only, in commit order.
CREATE TABLE events (
    position   INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    company_id TEXT NOT NULL,
    type       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    stored_ms  INTEGER NOT NULL,
    payload    TEXT NOT NULL,
    metadata   TEXT -- NULL for {}
) STRICT;

-- Everything that a filtered poll or a replay asks before it fetches an event.
CREATE INDEX events_by_company ON events (company_id, position, type, created_ms);

-- What is still owed. round is 0 for the delivery that publishing made, redelivery and replay
-- count up. epoch is the one of its subscription in which it became owed: a row of an earlier
-- epoch is dead. holder is the lease that works on it, 0 for none, and -1 for a dead row that is
-- kept for the trace: asked for by redelivery or replay, and ended before its first attempt.
CREATE TABLE queue (
    position         INTEGER NOT NULL,
    subscription     INTEGER NOT NULL,
    round            INTEGER NOT NULL,
    due_ms           INTEGER NOT NULL,
    holder           INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    first_attempt_ms INTEGER,
    owed_since_ms    INTEGER NOT NULL,
    PRIMARY KEY (position, subscription, round)
) STRICT, WITHOUT ROWID;

-- What waits for a claim. Fresh rows are leased from the start and never touch it.
CREATE INDEX queue_waiting ON queue (subscription, epoch, due_ms) WHERE holder = 0;

-- What was done; append-only.
CREATE TABLE attempts (
    seq              INTEGER PRIMARY KEY,
    id               BLOB NOT NULL,
    subscription     INTEGER NOT NULL,
    position         INTEGER NOT NULL,
    event_id         BLOB NOT NULL,
    round            INTEGER NOT NULL,
    event_type       TEXT NOT NULL,
    number           INTEGER NOT NULL,
    attempted_ms     INTEGER NOT NULL,
    elapsed_ms       INTEGER NOT NULL,
    error            TEXT, -- NULL where it succeeded
    status           INTEGER,
    next_attempt_ms  INTEGER,
    ended            INTEGER NOT NULL, -- 1 where a retry was due but the delivery had been ended
    url              TEXT NOT NULL,
    user_agent       TEXT NOT NULL,
    signatures       BLOB,
    response_headers TEXT, -- JSON, [[name, value], ...]; NULL for none
    body_truncated   INTEGER NOT NULL,
    response_body    TEXT NOT NULL
) STRICT;

CREATE INDEX attempts_by_subscription ON attempts (subscription);
CREATE INDEX attempts_by_event ON attempts (position, subscription);

-- Who wants what. A deleted one stays as a row as long as its attempts are readable.
CREATE TABLE subscriptions (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                BLOB NOT NULL UNIQUE,
    company_id        TEXT NOT NULL,
    url               TEXT NOT NULL,
    event_types       TEXT NOT NULL, -- JSON, a list of patterns
    description       TEXT,
    enabled           INTEGER NOT NULL,
    disabled_reason   TEXT,
    managed_by        TEXT NOT NULL,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    secret            BLOB, -- sealed; NULL once deleted
    previous_secret   BLOB, -- sealed
    previous_until_ms INTEGER,
    deleted_ms        INTEGER
) STRICT;

CREATE INDEX subscriptions_by_company ON subscriptions (company_id);
CREATE INDEX subscriptions_deleted ON subscriptions (deleted_ms) WHERE deleted_ms IS NOT NULL;

-- What a subscription wanted, from which position (exclusive) on.
CREATE TABLE subscription_history (
    subscription   INTEGER NOT NULL,
    after_position INTEGER NOT NULL,
    event_types    TEXT NOT NULL,
    enabled        INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    PRIMARY KEY (subscription, after_position)
) STRICT, WITHOUT ROWID;

-- Who may call.
CREATE TABLE api_keys (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    company_id   TEXT, -- NULL for the platform's own
    scopes       TEXT NOT NULL, -- JSON, a list
    expires_ms   INTEGER,
    created_ms   INTEGER NOT NULL,
    last_used_ms INTEGER,
    revoked_ms   INTEGER
) STRICT;

-- Promises not to publish twice, in the order in which they were given and so end.
CREATE TABLE idempotency (
    seq            INTEGER PRIMARY KEY,
    company_id     TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_hash   BLOB NOT NULL,
    first_position INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    UNIQUE (company_id, key)
) STRICT;

-- Leases are kept in memory; the table only makes sure that no id is ever given out twice.
CREATE TABLE leases (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    taken_ms INTEGER NOT NULL
) STRICT;
