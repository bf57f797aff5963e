-- Who changed what: a log that is only added to, under a tree of hashes (docs/design/audit-log.md).

-- One row: whoever adds an entry changes it first, and so waits for whoever adds another.
CREATE TABLE audit_head (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    -- What the log is called, in what is signed.
    origin   TEXT NOT NULL,
    size     BIGINT NOT NULL
);

CREATE TABLE audit_entries (
    number    BIGINT PRIMARY KEY,
    -- As in the text, to be found by.
    workspace TEXT,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    -- The bytes that are hashed.
    text      TEXT NOT NULL
);
CREATE INDEX audit_workspace ON audit_entries (workspace, number);
CREATE INDEX audit_subject ON audit_entries (workspace, action, subject);

-- The hashes of complete subtrees, which never change.
CREATE TABLE audit_nodes (
    level BIGINT NOT NULL,
    place BIGINT NOT NULL,
    hash  TEXT NOT NULL,              -- base64
    PRIMARY KEY (level, place)
);
