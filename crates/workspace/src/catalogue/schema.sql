-- Version 1. Never edited once released: a change is a new file with the next number.

-- Canonical texts by digest: definitions, locks, receipts. Small, and needed after any garbage collection.
CREATE TABLE documents (
    digest TEXT PRIMARY KEY,
    kind   TEXT NOT NULL CHECK (kind IN ('definition', 'lock', 'receipt')),
    body   TEXT NOT NULL
);

-- The receipt that a definition resolves to in this workspace until somebody upgrades it.
CREATE TABLE current_receipts (
    definition TEXT PRIMARY KEY REFERENCES documents (digest),
    receipt    TEXT NOT NULL REFERENCES documents (digest)
);

-- Immutable once written, but for description and tags.
CREATE TABLE environments (
    name        TEXT NOT NULL,
    version     TEXT NOT NULL,
    ordinal     BIGINT NOT NULL,
    content     TEXT NOT NULL, -- digest of all that is immutable: definition, variables, routes
    definition  TEXT NOT NULL REFERENCES documents (digest),
    receipt     TEXT NOT NULL REFERENCES documents (digest),
    lock        TEXT NOT NULL REFERENCES documents (digest),
    body        TEXT NOT NULL, -- the environment as JSON
    created_at  TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    PRIMARY KEY (name, version),
    UNIQUE (name, ordinal)
);
CREATE INDEX environments_definition ON environments (definition);

-- What a lock became, per platform and assembly epoch.
CREATE TABLE images (
    lock       TEXT NOT NULL REFERENCES documents (digest),
    platform   TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    manifest   TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (lock, platform, epoch)
);
CREATE INDEX images_manifest ON images (manifest);

-- Attempts to assemble; a failed one never makes a version.
CREATE TABLE builds (
    id         TEXT PRIMARY KEY,
    lock       TEXT NOT NULL,
    platform   TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
    manifest   TEXT,
    error      TEXT,
    log        TEXT NOT NULL, -- path below the workspace
    started_at TEXT NOT NULL,
    ended_at   TEXT
);
CREATE INDEX builds_lock ON builds (lock);

CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    environment TEXT NOT NULL,
    version     TEXT NOT NULL,
    receipt     TEXT NOT NULL REFERENCES documents (digest),
    manifest    TEXT NOT NULL,
    body        TEXT NOT NULL, -- the job as JSON
    status      TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'canceled', 'lost')),
    exit_code   BIGINT,
    error       TEXT,
    started_at  TEXT NOT NULL,
    ended_at    TEXT
);
CREATE INDEX runs_started ON runs (started_at);
