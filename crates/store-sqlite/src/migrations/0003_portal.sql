-- The platform's own people, who sign in with a password.
CREATE TABLE users (
    seq             INTEGER PRIMARY KEY,
    id              BLOB NOT NULL UNIQUE,
    email           TEXT NOT NULL UNIQUE, -- in lower case
    password_hash   TEXT NOT NULL, -- a PHC string
    created_ms      INTEGER NOT NULL,
    last_sign_in_ms INTEGER
) STRICT;

-- Links that are good once. purpose is 'enter', which has a company and a role, or 'setup'.
CREATE TABLE links (
    seq        INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    purpose    TEXT NOT NULL,
    company_id TEXT,
    role       TEXT,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX links_by_expiry ON links (expires_ms);

-- Who is in the portal: a user, or somebody of a company in a role.
CREATE TABLE sessions (
    seq        INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    user_id    BLOB, -- users.id
    company_id TEXT,
    role       TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_company ON sessions (company_id) WHERE company_id IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

-- Who changed what; append-only, and kept for ever.
CREATE TABLE audit_log (
    seq        INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    company_id TEXT, -- NULL for the platform's own affairs
    actor_kind TEXT NOT NULL,
    actor_id   BLOB,
    actor_name TEXT,
    address    TEXT, -- the actor's IP address
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    changes    TEXT NOT NULL -- JSON, a list of {"field", "before", "after"}
) STRICT;

CREATE INDEX audit_by_company ON audit_log (company_id);
CREATE INDEX audit_by_target ON audit_log (target);

-- What happened in stretches of time, in numbers that add up. resolution is 1 for minutes, 2 for
-- ten minutes, 3 for hours. subscription is 0 for all of the company together, and company_id is
-- '' for all companies together. elapsed_… counts attempts that took at most so many milliseconds
-- and more than those of the column before.
CREATE TABLE figures (
    resolution    INTEGER NOT NULL,
    subscription  INTEGER NOT NULL,
    company_id    TEXT NOT NULL,
    start_ms      INTEGER NOT NULL,
    published     INTEGER NOT NULL,
    succeeded     INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    elapsed_2     INTEGER NOT NULL,
    elapsed_5     INTEGER NOT NULL,
    elapsed_10    INTEGER NOT NULL,
    elapsed_25    INTEGER NOT NULL,
    elapsed_50    INTEGER NOT NULL,
    elapsed_100   INTEGER NOT NULL,
    elapsed_250   INTEGER NOT NULL,
    elapsed_500   INTEGER NOT NULL,
    elapsed_1000  INTEGER NOT NULL,
    elapsed_2500  INTEGER NOT NULL,
    elapsed_5000  INTEGER NOT NULL,
    elapsed_10000 INTEGER NOT NULL,
    elapsed_30000 INTEGER NOT NULL,
    elapsed_more  INTEGER NOT NULL,
    PRIMARY KEY (resolution, subscription, company_id, start_ms)
) STRICT, WITHOUT ROWID;

-- The companies of an hour, and what is old.
CREATE INDEX figures_by_time ON figures (resolution, start_ms, subscription, company_id);

-- Which companies have keys.
CREATE INDEX api_keys_by_company ON api_keys (company_id);
