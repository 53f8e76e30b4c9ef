-- How far a member has got. There is a row for each row of members, made and deleted with it.
CREATE TABLE watermarks (
    conversation  INTEGER NOT NULL REFERENCES conversations,
    user_id       BLOB NOT NULL REFERENCES users,
    delivered_seq INTEGER NOT NULL,
    -- Never above delivered_seq.
    read_seq      INTEGER NOT NULL,
    PRIMARY KEY (conversation, user_id)
) STRICT, WITHOUT ROWID;

-- Whoever is a member already begins with nothing unread.
INSERT INTO watermarks (conversation, user_id, delivered_seq, read_seq)
SELECT head.conversation, head.user_id, head.seq, head.seq FROM (
    SELECT m.conversation, m.user_id,
        COALESCE((SELECT MAX(seq) FROM entries e WHERE e.conversation = m.conversation), c.first_seq - 1) AS seq
    FROM members m JOIN conversations c ON c.id = m.conversation
) AS head;

-- Messages alone, with all that it takes to count them: neither other entries nor payloads are passed by.
CREATE INDEX messages_by_seq ON entries (conversation, seq, device) WHERE device IS NOT NULL;
