-- Version 1. Never edited once released: a change is a new file with the next number.

CREATE TABLE workspaces (
    name       TEXT PRIMARY KEY,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL
);

-- `*` as the workspace is the server itself: such a role holds in every workspace.
CREATE TABLE roles (
    workspace TEXT NOT NULL,
    user_name TEXT NOT NULL,
    role      TEXT NOT NULL CHECK (role IN ('reader', 'contributor', 'owner')),
    PRIMARY KEY (workspace, user_name)
);

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    user_name  TEXT NOT NULL,
    digest     TEXT NOT NULL UNIQUE, -- sha256: the token itself is nowhere
    prefix     TEXT NOT NULL,        -- its first characters, by which people know it
    note       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    used_at    TEXT
);

CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    -- What it makes: two jobs of one key are never wanted at once.
    key          TEXT NOT NULL,
    workspace    TEXT NOT NULL,
    environment  TEXT NOT NULL,
    version      TEXT NOT NULL,
    lock         TEXT NOT NULL,
    platform     TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    priority     BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    -- Counts the claims: whoever has an older number has lost the job, and may not say how it ended.
    fence        BIGINT NOT NULL,
    worker       TEXT,
    lease_until  TEXT,
    not_before   TEXT NOT NULL,
    cancel_asked BIGINT NOT NULL,
    image        TEXT,
    error        TEXT,               -- JSON
    created_by   TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    ended_at     TEXT
);
CREATE UNIQUE INDEX jobs_wanted ON jobs (key) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_queue ON jobs (status, priority, created_at);
CREATE INDEX jobs_workspace ON jobs (workspace, created_at);

-- Answers that were given, for clients that ask again because they did not hear them.
CREATE TABLE answers (
    user_name  TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,        -- sha256 of method, path and body
    status     BIGINT NOT NULL,
    type       TEXT NOT NULL,
    body       BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (user_name, key)
);
