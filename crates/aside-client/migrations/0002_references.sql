-- CONT-002: the seq that a message refers to, so that what it changes is found.
ALTER TABLE entries ADD COLUMN refers INTEGER;

CREATE INDEX entries_refers ON entries (conversation, refers, seq) WHERE refers IS NOT NULL;
