-- ROOM-029: what a room is about, and the entry as of which its name and topic are so.
ALTER TABLE conversations ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN settings_seq INTEGER NOT NULL DEFAULT 0;

-- Of an entry that settings or pins are folded from: its kind. NULL for all others.
ALTER TABLE entries ADD COLUMN kind INTEGER;

CREATE INDEX entries_kind ON entries (conversation, kind, seq) WHERE kind IS NOT NULL;
