-- APPROVE-010: approvals in a row that came to nothing, and when the last did.
CREATE TABLE approval_attempts (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    failed INTEGER NOT NULL,
    last_ms INTEGER NOT NULL      -- by this machine's clock, since 1970
) STRICT;
