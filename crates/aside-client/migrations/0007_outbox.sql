-- MSG-016: the last entry known of when a message was written; none if none was, or if the conversation was forgotten since.
ALTER TABLE outbox ADD COLUMN after_seq INTEGER;
-- Whether a connection may have carried it: then it can't be taken back any more. What was kept before this was known may have been.
ALTER TABLE outbox ADD COLUMN carried INTEGER NOT NULL DEFAULT 1;

CREATE INDEX outbox_failed ON outbox (id) WHERE failed IS NOT NULL;

-- Who is in a conversation, as far as its entries and the lists of its members say: whom a text can mean.
CREATE TABLE members (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id BLOB NOT NULL,
    PRIMARY KEY (conversation, user_id)
) STRICT, WITHOUT ROWID;
