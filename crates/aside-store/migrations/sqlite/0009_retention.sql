-- What limits how much of a log is kept, as its owner said; 0 for no limit.
ALTER TABLE conversations ADD COLUMN max_age_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN max_entries INTEGER NOT NULL DEFAULT 0;

-- What a message that retention took away was answered with, for as long as it may be sent again. Ids grow with time, so that
-- the expired ones are a prefix.
CREATE TABLE trimmed (
    message_id   BLOB NOT NULL,
    device       INTEGER NOT NULL REFERENCES devices,
    conversation INTEGER NOT NULL REFERENCES conversations,
    seq          INTEGER NOT NULL,
    time_ms      INTEGER NOT NULL,
    payload_hash BLOB NOT NULL,
    PRIMARY KEY (message_id, device)
) STRICT, WITHOUT ROWID;
