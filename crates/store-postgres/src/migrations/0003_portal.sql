-- The platform's own people, who sign in with a password.
CREATE TABLE users (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              uuid NOT NULL UNIQUE,
    email           text NOT NULL UNIQUE, -- in lower case
    password_hash   text NOT NULL, -- a PHC string
    created_ms      bigint NOT NULL,
    last_sign_in_ms bigint
);

-- Links that are good once. purpose is 'enter', which has a company and a role, or 'setup'.
CREATE TABLE links (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    purpose    text NOT NULL,
    company_id text,
    role       text,
    expires_ms bigint NOT NULL
);

CREATE INDEX links_by_expiry ON links (expires_ms);

-- Who is in the portal: a user, or somebody of a company in a role.
CREATE TABLE sessions (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE,
    user_id    uuid, -- users.id
    company_id text,
    role       text,
    created_ms bigint NOT NULL,
    expires_ms bigint NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_company ON sessions (company_id) WHERE company_id IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

-- Who changed what; append-only, and kept for ever.
CREATE TABLE audit_log (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms      bigint NOT NULL,
    company_id text, -- NULL for the platform's own affairs
    actor_kind text NOT NULL,
    actor_id   uuid,
    actor_name bytea,
    address    text, -- the actor's IP address
    action     text NOT NULL,
    target     bytea NOT NULL,
    changes    bytea NOT NULL -- JSON, a list of {"field", "before", "after"}
);

CREATE INDEX audit_by_company ON audit_log (company_id, seq);
CREATE INDEX audit_by_target ON audit_log (target, seq);

-- What happened in stretches of time, in numbers that add up. resolution is 1 for minutes, 2 for
-- ten minutes, 3 for hours. subscription is 0 for all of the company together, and company_id is
-- '' for all companies together. elapsed_… counts attempts that took at most so many milliseconds
-- and more than those of the column before. Rows are added to again and again as long as their
-- stretch lasts, which leaves room in their pages for that.
CREATE TABLE figures (
    resolution    smallint NOT NULL,
    subscription  bigint NOT NULL,
    company_id    text COLLATE "C" NOT NULL,
    start_ms      bigint NOT NULL,
    published     bigint NOT NULL,
    succeeded     bigint NOT NULL,
    failed        bigint NOT NULL,
    elapsed_2     bigint NOT NULL,
    elapsed_5     bigint NOT NULL,
    elapsed_10    bigint NOT NULL,
    elapsed_25    bigint NOT NULL,
    elapsed_50    bigint NOT NULL,
    elapsed_100   bigint NOT NULL,
    elapsed_250   bigint NOT NULL,
    elapsed_500   bigint NOT NULL,
    elapsed_1000  bigint NOT NULL,
    elapsed_2500  bigint NOT NULL,
    elapsed_5000  bigint NOT NULL,
    elapsed_10000 bigint NOT NULL,
    elapsed_30000 bigint NOT NULL,
    elapsed_more  bigint NOT NULL,
    PRIMARY KEY (resolution, subscription, company_id, start_ms)
) WITH (fillfactor = 70);

-- The companies of an hour, and what is old.
CREATE INDEX figures_by_time ON figures (resolution, start_ms, subscription, company_id);

-- Which companies there are, in the order of their bytes whatever the database's own order is.
CREATE INDEX subscriptions_by_company_id ON subscriptions (company_id COLLATE "C");
CREATE INDEX api_keys_by_company ON api_keys (company_id COLLATE "C");
