-- Version 3: what packages say of themselves, and what audits found. Both outlive the bytes of images.

CREATE TABLE abouts (
    artifact TEXT PRIMARY KEY, -- digest of the package's file
    body     TEXT NOT NULL
);

CREATE TABLE audits (
    id         TEXT PRIMARY KEY,
    manifest   TEXT NOT NULL,
    audited_at TEXT NOT NULL,
    body       TEXT NOT NULL -- the report as JSON
);
CREATE INDEX audits_manifest ON audits (manifest, audited_at);
