-- What was redacted, whether the rest of it is kept or not: edits of it are not found, ever.
CREATE TABLE redacted (
    conversation INTEGER NOT NULL REFERENCES conversations,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO redacted SELECT conversation, seq FROM entries WHERE device IS NOT NULL AND payload IS NULL;

-- Whether, of a row that is out of date, nothing is left to be found: a search need not wait for it.
ALTER TABLE stale ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
UPDATE stale SET gone = 1 WHERE id NOT IN (SELECT id FROM indexed);
CREATE INDEX stale_in_order ON stale (conversation, gone, id);
