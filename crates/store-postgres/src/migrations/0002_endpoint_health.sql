-- How fast a subscription is delivered to at the most; NULL for as fast as it takes.
ALTER TABLE subscriptions ADD COLUMN max_per_second integer;

-- How its endpoint does: the circuit breaker, until when it is open, and since when there was
-- nothing but failures.
ALTER TABLE subscriptions ADD COLUMN breaker text NOT NULL DEFAULT 'closed';
ALTER TABLE subscriptions ADD COLUMN open_until_ms bigint;
ALTER TABLE subscriptions ADD COLUMN failing_since_ms bigint;
