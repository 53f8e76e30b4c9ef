-- The certificate of this device (CERT-001), once one was made: with the login key, the keys of mls_keys.
ALTER TABLE account ADD COLUMN device_certificate BLOB;

CREATE TABLE mls_keys (
    suite INTEGER PRIMARY KEY,    -- its number in RFC 9420
    private_key BLOB NOT NULL
) STRICT;

-- TRUST-001: device logs as far as they were seen, the user's own among them. The state is that of one server, so the user is all
-- that names one. What is pinned, and where it was seen to end, is in the entries.
CREATE TABLE device_logs (
    user_id BLOB PRIMARY KEY NOT NULL,
    log BLOB NOT NULL,            -- a DeviceLogPart: all entries, each judged
    verified INTEGER NOT NULL     -- 0 or 1: whether the safety number was compared
) STRICT;
