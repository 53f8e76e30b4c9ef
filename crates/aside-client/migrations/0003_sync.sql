-- The user's own watermarks, as the server last told them; none if it never did: MARK-001.
ALTER TABLE conversations ADD COLUMN delivered_seq INTEGER;
ALTER TABLE conversations ADD COLUMN read_seq INTEGER;
-- How far the user has read here, whether or not the server knows it yet.
ALTER TABLE conversations ADD COLUMN marked_seq INTEGER NOT NULL DEFAULT 0;
-- SUM-005, as the server counted it when the user had read up to read_seq; 0 from the next move on.
ALTER TABLE conversations ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
-- Whether members are told how far the others have got: MARK-010.
ALTER TABLE conversations ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
-- HEAD-008: the entry before the first that is still there, and its chain value, as a signed head or TRIMMED stated it.
ALTER TABLE conversations ADD COLUMN anchor_seq INTEGER;
ALTER TABLE conversations ADD COLUMN anchor BLOB;

-- How far the other members have got.
CREATE TABLE watermarks (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id BLOB NOT NULL,
    delivered_seq INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, user_id)
) STRICT, WITHOUT ROWID;

-- MSG-015: where the server says that a message is; it stays until its entry was seen there.
ALTER TABLE outbox ADD COLUMN seq INTEGER;
-- A message that will not be sent stays until the user has seen to it: why, and what can be done.
ALTER TABLE outbox ADD COLUMN failed TEXT;
ALTER TABLE outbox ADD COLUMN remedy TEXT;

-- What can be searched, filled by searches: the texts of messages as they are shown.
CREATE VIRTUAL TABLE search USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');

CREATE TABLE searched (
    id INTEGER PRIMARY KEY,       -- the row of search
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    UNIQUE (conversation, seq)
) STRICT;

CREATE TRIGGER searched_deleted AFTER DELETE ON searched BEGIN
    DELETE FROM search WHERE rowid = old.id;
END;

-- The entries that searches have been through: from the first to the last of these.
ALTER TABLE conversations ADD COLUMN searched_from INTEGER;
ALTER TABLE conversations ADD COLUMN searched_to INTEGER;
