-- Accounts, devices, rooms, logs. Times are milliseconds since 1970; ids are 16 bytes.

CREATE TABLE users (
    user_id       BLOB PRIMARY KEY,
    handle        TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    -- The last rename that counts for the cool-down; none before the first.
    renamed_ms    INTEGER
) STRICT, WITHOUT ROWID;

-- Every handle that an account has or had: none is ever given to another (ACCT-003).
CREATE TABLE handles (
    handle  TEXT PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users
) STRICT, WITHOUT ROWID;

-- Never deleted: a device's id and key are bound for ever (DEV-007).
CREATE TABLE devices (
    id           INTEGER PRIMARY KEY,
    device_id    BLOB NOT NULL UNIQUE,
    user_id      BLOB NOT NULL REFERENCES users,
    public_key   BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    revoked_ms   INTEGER
) STRICT;
CREATE INDEX devices_of_user ON devices (user_id, id);

CREATE TABLE conversations (
    id              INTEGER PRIMARY KEY,
    conversation_id BLOB NOT NULL UNIQUE,
    kind            INTEGER NOT NULL,
    name            TEXT NOT NULL UNIQUE,
    -- 1 for the default room, NULL for all others, so that there can be only one.
    is_default      INTEGER UNIQUE CHECK (is_default = 1),
    member_count    INTEGER NOT NULL,
    -- The first entry that is kept, and the chain value before it.
    first_seq       INTEGER NOT NULL,
    anchor          BLOB NOT NULL
) STRICT;

CREATE TABLE members (
    conversation INTEGER NOT NULL REFERENCES conversations,
    user_id      BLOB NOT NULL REFERENCES users,
    role         INTEGER NOT NULL,
    PRIMARY KEY (conversation, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, conversation);

-- Append-only; a log's head is its last row. The payload comes last, so that reading what stands before it touches no
-- overflow page. Salt and payload may be NULL, since redaction takes both away.
CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations,
    seq          INTEGER NOT NULL,
    -- Who sent a message, and its id; both NULL in entries of other kinds.
    device       INTEGER REFERENCES devices,
    message_id   BLOB,
    chain        BLOB NOT NULL,
    header       BLOB NOT NULL,
    salt         BLOB,
    payload      BLOB
) STRICT;
CREATE UNIQUE INDEX entries_by_seq ON entries (conversation, seq);
-- Leads with the id, which grows with time, so that inserts meet in the last pages.
CREATE UNIQUE INDEX entries_by_message ON entries (message_id, device);

-- What mutating requests other than messages were answered with (IDEM-006). Keys grow with time, so that the expired
-- ones are a prefix.
CREATE TABLE requests (
    key    BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES devices,
    -- The request's number in ClientFrame.body.
    kind   INTEGER NOT NULL,
    reply  BLOB NOT NULL,
    PRIMARY KEY (key, device)
) STRICT, WITHOUT ROWID;

-- The keys that sign heads, oldest first: the last is in use.
CREATE TABLE log_keys (
    id          INTEGER PRIMARY KEY,
    public_key  BLOB NOT NULL UNIQUE,
    -- Forgotten when the key is replaced.
    private_key BLOB,
    -- By the key before; NULL for the first.
    signature   BLOB
) STRICT;
