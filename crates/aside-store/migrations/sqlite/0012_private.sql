-- Private conversations: approved devices, KeyPackages, the MLS groups as the delivery service sees them, inboxes.
--
-- A private conversation has no name. `conversations.name`, which has to be unique, is '/' and its id in hexadecimal for one: what no
-- room's name can be (NAME-002), and what nobody is shown.

-- Entries of device logs, verified before they came here.
CREATE TABLE device_log (
    user_id  BLOB NOT NULL REFERENCES users,
    position INTEGER NOT NULL,
    entry    BLOB NOT NULL,
    PRIMARY KEY (user_id, position)
) STRICT;

-- The devices that are active at the head of their user's log, and not revoked (DEVLOG-006).
CREATE TABLE approvals (
    device INTEGER PRIMARY KEY REFERENCES devices
) STRICT;

-- Each is given out once, oldest first, but for the last resort. A device is known to use a suite by its row in key_package_suites.
CREATE TABLE key_packages (
    id          INTEGER PRIMARY KEY,
    device      INTEGER NOT NULL REFERENCES devices,
    suite       INTEGER NOT NULL,
    -- 1 for the one that stays.
    last_resort INTEGER NOT NULL,
    package     BLOB NOT NULL
) STRICT;
CREATE INDEX key_packages_of_device ON key_packages (device, suite, last_resort, id);
CREATE TABLE key_package_suites (
    device INTEGER NOT NULL REFERENCES devices,
    suite  INTEGER NOT NULL,
    PRIMARY KEY (device, suite)
) STRICT, WITHOUT ROWID;

-- The present group of a conversation; none before the first.
CREATE TABLE groups (
    conversation INTEGER PRIMARY KEY REFERENCES conversations,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    suite        INTEGER NOT NULL,
    -- That of the entry that established it: what is rejected lies there or after it.
    since_seq    INTEGER NOT NULL,
    group_info   BLOB NOT NULL
) STRICT;

-- Its leaves.
CREATE TABLE leaves (
    conversation INTEGER NOT NULL REFERENCES conversations,
    device       INTEGER NOT NULL REFERENCES devices,
    -- 1 for one that the next commit has to remove: it neither sends nor is pushed anything.
    pending      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX leaves_by_device ON leaves (device, conversation);
CREATE INDEX pending_removals ON leaves (conversation, device) WHERE pending = 1;

-- Commits of the present generation that a leaf rejected.
CREATE TABLE rejections (
    conversation INTEGER NOT NULL REFERENCES conversations,
    seq          INTEGER NOT NULL,
    -- Who rejected it.
    device       INTEGER NOT NULL REFERENCES devices,
    -- Whose commit it is.
    committer    INTEGER NOT NULL REFERENCES devices,
    PRIMARY KEY (conversation, seq, device)
) STRICT, WITHOUT ROWID;

-- A Welcome is stored once, for all whom it is for.
CREATE TABLE welcomes (
    id           INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    created_ms   INTEGER NOT NULL,
    welcome      BLOB NOT NULL
) STRICT;
CREATE INDEX welcomes_by_age ON welcomes (created_ms);

-- What waits for each device.
CREATE TABLE inbox (
    device   INTEGER NOT NULL REFERENCES devices,
    position INTEGER NOT NULL,
    welcome  INTEGER NOT NULL REFERENCES welcomes,
    PRIMARY KEY (device, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_welcome ON inbox (welcome);
-- The last position that was given in a device's inbox: none is given again (INBOX-002).
ALTER TABLE devices ADD COLUMN inbox_position INTEGER NOT NULL DEFAULT 0;

-- What each leaf said last of an epoch.
CREATE TABLE fork_checks (
    conversation INTEGER NOT NULL REFERENCES conversations,
    device       INTEGER NOT NULL REFERENCES devices,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    value        BLOB NOT NULL,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;

-- The entry from which on somebody is a member of a private conversation; 0 in rooms, where nobody asks.
ALTER TABLE members ADD COLUMN joined_seq INTEGER NOT NULL DEFAULT 0;
