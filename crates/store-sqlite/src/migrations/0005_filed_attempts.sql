-- The delivery log by subscription. An index of the log itself would have a place of its own for
-- each subscription's next line, and with many of them each line would add a page to its commit.
-- So lines are filed many at a time; the setting attempts_filed says up to which.
CREATE TABLE attempts_filed (
    subscription INTEGER NOT NULL,
    seq          INTEGER NOT NULL, -- attempts.seq
    PRIMARY KEY (subscription, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO attempts_filed (subscription, seq)
    SELECT subscription, seq FROM attempts ORDER BY subscription, seq;
INSERT INTO settings (name, value) SELECT 'attempts_filed', coalesce(max(seq), 0) FROM attempts;

DROP INDEX attempts_by_subscription;
