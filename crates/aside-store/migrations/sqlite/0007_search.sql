-- The index for search in public rooms. It follows the logs: see src/write/search.rs.

-- How far each log is indexed.
CREATE TABLE indexed_logs (
    conversation INTEGER PRIMARY KEY REFERENCES conversations,
    seq          INTEGER NOT NULL
) STRICT;

-- What is indexed of them: texts, and edits.
CREATE TABLE indexed (
    -- That of the entry, which may be gone. Also the rowid in texts, where an edit that changes a message has none.
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations,
    seq          INTEGER NOT NULL,
    -- For an edit: the message that it names, if there is one, and whether it is the same user's text.
    edit_of      INTEGER,
    changes      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX indexed_by_seq ON indexed (conversation, seq);
CREATE INDEX indexed_edits ON indexed (conversation, edit_of, seq) WHERE edit_of IS NOT NULL;

-- Words alone: the text is in the log. `room` is the conversation as a word, so that the words of one room meet no others.
CREATE VIRTUAL TABLE texts USING fts5 (
    room, body, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
