-- What an owner says of a room, who is invited to it, and what is pinned in it.

ALTER TABLE conversations ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN description TEXT NOT NULL DEFAULT '';
-- 1 if only those may join who are invited, else 0.
ALTER TABLE conversations ADD COLUMN invite_only INTEGER NOT NULL DEFAULT 0;

-- An invitation is there until it is used or turned down.
CREATE TABLE invitations (
    user_id      BLOB NOT NULL REFERENCES users,
    conversation INTEGER NOT NULL REFERENCES conversations,
    inviter_id   BLOB NOT NULL REFERENCES users,
    PRIMARY KEY (user_id, conversation)
) STRICT, WITHOUT ROWID;
CREATE INDEX invitations_to_room ON invitations (conversation);

-- Messages that are pinned: they have their payload.
CREATE TABLE pins (
    conversation INTEGER NOT NULL REFERENCES conversations,
    -- The message's.
    seq          INTEGER NOT NULL,
    -- That of the entry that pinned it.
    pin_seq      INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX pins_in_order ON pins (conversation, pin_seq);
