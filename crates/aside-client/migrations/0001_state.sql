-- What one device of one account remembers.

CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    device_key BLOB NOT NULL,     -- 32 bytes, private
    register_key BLOB,            -- idempotency key of a Register without a reply yet
    user_id BLOB,                 -- with device_id and handle: once logged in
    device_id BLOB,
    handle TEXT,
    log_key BLOB,                 -- the server's log key: HEAD-004
    certificate BLOB              -- SHA-256 of the certificate that the user pinned: TLS-006
) STRICT;

-- DEV-010, DEV-011: the keys and accounts of devices as they were first seen.
CREATE TABLE devices (
    device_id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL,
    public_key BLOB NOT NULL,
    revoked_ms INTEGER NOT NULL   -- 0 if it was not, as far as is known
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    user_id BLOB PRIMARY KEY,
    handle TEXT NOT NULL          -- the last one heard of
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    conversation_id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    joined INTEGER NOT NULL,      -- 0 or 1
    seq INTEGER,                  -- the cursor, with its chain value
    chain BLOB,
    time_ms INTEGER NOT NULL DEFAULT 0, -- the time of the entry at the cursor: LOG-004
    statement BLOB,               -- the last signed head, with its signature: HEAD-005
    statement_signature BLOB,
    tampering TEXT                -- what was found; nothing is taken in any more
) STRICT;

CREATE TABLE entries (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    header BLOB NOT NULL,         -- as it was received
    salt BLOB NOT NULL,
    payload BLOB NOT NULL,
    chain_before BLOB NOT NULL,   -- so that older entries can be proven to lead here
    signature INTEGER NOT NULL,   -- 0 unsigned, 1 verified, 2 invalid, 3 not known yet
    message BLOB,                 -- of a message: its device_id and message_id
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- MSG-013: whether a message was there before.
CREATE INDEX entries_message ON entries (conversation, message, seq) WHERE message IS NOT NULL;

CREATE INDEX entries_pending ON entries (conversation, seq) WHERE signature = 3;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,       -- the order of sending
    message_id BLOB NOT NULL UNIQUE,
    conversation_id BLOB NOT NULL,
    payload BLOB NOT NULL,
    salt BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
