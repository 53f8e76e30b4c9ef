-- What the chain has for a payload that was redacted. Its salt and payload are empty then.
ALTER TABLE entries ADD COLUMN payload_hash BLOB;

-- What entries of kind REDACTED name, whether it is kept or not.
CREATE TABLE redactions (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    by_seq INTEGER NOT NULL,      -- the first entry that redacts it
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- LOG-013: entries that came without payload, until one that redacts them is met.
CREATE TABLE missing (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,    -- by where that is
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
