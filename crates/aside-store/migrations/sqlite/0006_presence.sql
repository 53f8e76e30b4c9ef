-- What an account lets others see. An account without a row is as it was made: shown, without a status, with receipts.
CREATE TABLE presence (
    user_id          BLOB PRIMARY KEY REFERENCES users,
    -- 1 for an account that is to look offline to all others.
    hidden           INTEGER NOT NULL,
    status_text      TEXT NOT NULL,
    -- 1 for an account whose watermarks are kept from others.
    private_receipts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
