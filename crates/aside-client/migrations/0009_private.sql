-- The key under which every value below is sealed, and the keys of account and mls_keys; it is sealed itself, under a key that a
-- passphrase gives, or that something outside of this file holds. Without this row, account and mls_keys are not sealed yet.
CREATE TABLE data_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    guard INTEGER NOT NULL,       -- 1 a passphrase, 2 the system's keyring, 3 the file beside this one
    salt BLOB NOT NULL,           -- 16 bytes: of the passphrase; of the others, which of their keys it is
    memory_kib INTEGER NOT NULL,  -- the cost of Argon2id; 0 without a passphrase
    passes INTEGER NOT NULL,
    lanes INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE private_device (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    record BLOB NOT NULL
) STRICT;

CREATE TABLE private_key_packages (
    reference BLOB PRIMARY KEY NOT NULL, -- its KeyPackageRef
    key_package BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Apart from conversations: what was decrypted can't be decrypted again, so it stays when a log is forgotten and read anew.
CREATE TABLE private_conversations (
    id INTEGER PRIMARY KEY,
    conversation_id BLOB NOT NULL UNIQUE,
    record BLOB
) STRICT;

CREATE TABLE private_groups (
    conversation INTEGER NOT NULL REFERENCES private_conversations (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (conversation, generation)
) STRICT;

-- What a private conversation is called, sealed; name is empty then.
ALTER TABLE conversations ADD COLUMN private_name BLOB;

-- What entries turned out to say; whether or not these are there yet.
CREATE TABLE private_readings (
    conversation INTEGER NOT NULL REFERENCES private_conversations (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    reading BLOB NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE private_outgoing (
    id INTEGER PRIMARY KEY,       -- the order of sending
    conversation INTEGER NOT NULL REFERENCES private_conversations (id) ON DELETE CASCADE,
    message_id BLOB NOT NULL,
    message BLOB NOT NULL,
    UNIQUE (conversation, message_id)
) STRICT;
