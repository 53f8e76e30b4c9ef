-- What a handle with a suffix is chosen by (AUTH-013), without trying all that are taken.

CREATE INDEX handles_of_user ON handles (user_id);

-- For a handle with numbers: the least number from 2 on that no account has or had. A handle without a row stands at 2,
-- or has numbers from before this table, which are counted when the next is taken.
CREATE TABLE suffixes (
    stem   TEXT PRIMARY KEY,
    unused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
