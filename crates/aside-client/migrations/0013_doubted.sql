-- Messages that were opened, and whose senders can't be judged: they can't be opened again, and are shown once they can (TRUST-006).
-- One whose reading is forgotten goes with it.
CREATE TABLE private_doubted (
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (conversation, seq),
    FOREIGN KEY (conversation, seq) REFERENCES private_readings (conversation, seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
