-- Times are milliseconds since the Unix epoch. Ids are the UUID behind the shown form.
-- `subscription` is always subscriptions.seq: a small number keeps rows and indexes small.
-- Text that a caller may put any character into is kept as bytes, since PostgreSQL's text has no
-- room for U+0000.

-- Single facts about this database, by name.
CREATE TABLE settings (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- The head of the log. Publishing transactions update it before they insert, so positions are
-- given in commit order: whoever sees one sees everything below it. Changes of subscriptions and
-- keys count up book_version, and lost leases lease_version, under the same row lock: a publishing
-- transaction that was prepared before such a change sees that it was, and is prepared anew.
-- One row for all companies; by company, for as many heads as there are shards.
CREATE TABLE log_heads (
    shard         smallint PRIMARY KEY,
    position      bigint NOT NULL,
    book_version  bigint NOT NULL,
    lease_version bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 0);

INSERT INTO log_heads VALUES (0, 0, 0, 0);

-- What happened; append-only. Partitioned by the time inside the UUIDv7; the default partition
-- takes what no other does, so that a missing partition never refuses an event.
CREATE TABLE events (
    id         uuid NOT NULL,
    position   bigint NOT NULL,
    company_id text NOT NULL,
    type       text NOT NULL,
    created_ms bigint NOT NULL,
    stored_ms  bigint NOT NULL,
    payload    bytea NOT NULL,
    metadata   bytea, -- NULL for {}
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX events_by_company ON events (company_id, position);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- What is still owed. round is 0 for the delivery that publishing made, redelivery and replay
-- count up. epoch is the one of its subscription in which it became owed: a row of an earlier
-- epoch is dead. holder is the lease that works on it, 0 for none, and -1 for a dead row that is
-- kept for the trace: asked for by redelivery or replay, and ended before its first attempt.
-- Rows live for seconds, so dead ones are taken away long before they are a fifth of the table.
CREATE TABLE queue (
    position         bigint NOT NULL,
    subscription     bigint NOT NULL,
    round            integer NOT NULL,
    event_id         uuid NOT NULL,
    company_id       text NOT NULL,
    due_ms           bigint NOT NULL,
    holder           bigint NOT NULL,
    epoch            integer NOT NULL,
    attempts         integer NOT NULL,
    first_attempt_ms bigint,
    owed_since_ms    bigint NOT NULL,
    PRIMARY KEY (position, subscription, round)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 100000,
        autovacuum_analyze_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- What waits for a claim. Fresh rows are leased from the start and never touch it.
CREATE INDEX queue_waiting ON queue (subscription, epoch, due_ms) WHERE holder = 0;

-- The order of the delivery log.
CREATE SEQUENCE attempt_numbers AS bigint;

-- What was done; append-only, partitioned as events are.
CREATE TABLE attempts (
    id               uuid NOT NULL,
    seq              bigint NOT NULL,
    company_id       text NOT NULL,
    subscription     bigint NOT NULL,
    position         bigint NOT NULL,
    event_id         uuid NOT NULL,
    round            integer NOT NULL,
    event_type       text NOT NULL,
    number           integer NOT NULL,
    attempted_ms     bigint NOT NULL,
    elapsed_ms       bigint NOT NULL,
    error            text, -- NULL where it succeeded
    status           integer,
    next_attempt_ms  bigint,
    ended            boolean NOT NULL, -- a retry was due but the delivery had been ended
    url              text NOT NULL,
    user_agent       text NOT NULL,
    signatures       bytea,
    response_headers bytea, -- JSON, [[name, value], ...]; NULL for none
    body_truncated   boolean NOT NULL,
    response_body    bytea NOT NULL
) PARTITION BY RANGE (id);

CREATE INDEX attempts_by_subscription ON attempts (subscription, seq);
CREATE INDEX attempts_by_event ON attempts (event_id, subscription);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

-- Who wants what. A deleted one stays as a row as long as its attempts are readable. book_version
-- is the one that its last change counted up to: nodes read what is beyond the one they know.
CREATE TABLE subscriptions (
    seq               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                uuid NOT NULL UNIQUE,
    company_id        text NOT NULL,
    url               text NOT NULL,
    event_types       text NOT NULL, -- JSON, a list of patterns
    description       bytea,
    enabled           boolean NOT NULL,
    disabled_reason   text,
    managed_by        text NOT NULL,
    created_ms        bigint NOT NULL,
    updated_ms        bigint NOT NULL,
    version           bigint NOT NULL,
    epoch             integer NOT NULL,
    secret            bytea, -- sealed; NULL once deleted
    previous_secret   bytea, -- sealed
    previous_until_ms bigint,
    deleted_ms        bigint,
    book_version      bigint NOT NULL
);

CREATE INDEX subscriptions_by_company ON subscriptions (company_id, seq);
CREATE INDEX subscriptions_by_change ON subscriptions (book_version);
CREATE INDEX subscriptions_deleted ON subscriptions (deleted_ms) WHERE deleted_ms IS NOT NULL;

-- What a subscription wanted, from which position (exclusive) on.
CREATE TABLE subscription_history (
    subscription   bigint NOT NULL,
    after_position bigint NOT NULL,
    company_id     text NOT NULL,
    event_types    text NOT NULL,
    enabled        boolean NOT NULL,
    epoch          integer NOT NULL,
    PRIMARY KEY (subscription, after_position)
);

-- Who may call. book_version as for subscriptions.
CREATE TABLE api_keys (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid NOT NULL UNIQUE,
    hash         bytea NOT NULL UNIQUE,
    name         bytea NOT NULL,
    company_id   text, -- NULL for the platform's own
    scopes       text NOT NULL, -- JSON, a list
    expires_ms   bigint,
    created_ms   bigint NOT NULL,
    last_used_ms bigint,
    revoked_ms   bigint,
    book_version bigint NOT NULL
);

CREATE INDEX api_keys_by_change ON api_keys (book_version);

-- Promises not to publish twice, in the order in which they were given and so end.
CREATE TABLE idempotency (
    seq            bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    company_id     text NOT NULL,
    key            text NOT NULL,
    request_hash   bytea NOT NULL,
    first_position bigint NOT NULL,
    events         bigint NOT NULL,
    expires_ms     bigint NOT NULL,
    PRIMARY KEY (company_id, key)
);

-- Who works: a row for each node, and until when its lease stands. A lease that ran out stands
-- until another node marks it as lost; then its work is taken over and its row away. Its number is
-- never given out again. seen_version is the book_version that the node has in memory.
CREATE TABLE leases (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    taken_ms     bigint NOT NULL,
    until_ms     bigint NOT NULL,
    seen_version bigint NOT NULL,
    lost         boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
