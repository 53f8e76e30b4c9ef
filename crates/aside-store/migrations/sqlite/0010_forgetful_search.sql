-- What is taken out of the index for search leaves no word behind: FTS5 wipes it out of its segments at once ('secure-delete'),
-- for which it has to keep the texts. The index begins anew, and follows the logs as before.
DROP TABLE texts;
DELETE FROM indexed;
DELETE FROM indexed_logs;

-- `room` is the conversation as a word, so that the words of one room meet no others. Beginnings of words are indexed by their
-- first letters, so that short ones, which many words have, cost no more than a word.
CREATE VIRTUAL TABLE texts USING fts5 (
    room, body, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
);
INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1);

-- Edits that are shown in a message's place: others are never looked for.
DROP INDEX indexed_edits;
CREATE INDEX indexed_edits ON indexed (conversation, edit_of, seq) WHERE changes = 1;

-- Rows of texts that are not as they should be, and are not found until they are: there may be nothing left to be found.
CREATE TABLE stale (
    conversation INTEGER NOT NULL REFERENCES conversations,
    id           INTEGER NOT NULL,
    PRIMARY KEY (conversation, id)
) STRICT, WITHOUT ROWID;
