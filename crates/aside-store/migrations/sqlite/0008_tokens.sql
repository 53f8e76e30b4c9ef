-- A token is a device that logs in by a secret: its name, key, times and whether it is revoked are the device's.
CREATE TABLE tokens (
    device     INTEGER PRIMARY KEY REFERENCES devices,
    -- SHA-256 over the labelled secret.
    token_hash BLOB NOT NULL,
    -- The bit 1 << n for the scope with the number n.
    scopes     INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
