-- Of an entry that lost salt and payload: what the chain has for them. NULL in all others, whose hash is computed.
ALTER TABLE entries ADD COLUMN payload_hash BLOB;
