-- MLS-025: device logs whose users the client's user has seen begin anew (TRUST-004). What stands in a group by one of them was
-- approved once, and is to be removed.
CREATE TABLE former_device_logs (
    id INTEGER PRIMARY KEY,       -- the order in which others took their places
    user_id BLOB NOT NULL,
    log BLOB NOT NULL             -- as in device_logs
) STRICT;

CREATE INDEX former_device_logs_user ON former_device_logs (user_id, id);
