-- Version 9: what may change about environments, and who changed it.

-- A name with the numbers that it has given: none is given twice, even where its version was deleted.
CREATE TABLE environment_names (
    name         TEXT PRIMARY KEY,
    last_ordinal BIGINT NOT NULL,
    last_number  BIGINT NOT NULL, -- the largest version that is a number
    last_change  BIGINT NOT NULL, -- the last number in `history`
    archived_at  TEXT
);
INSERT INTO environment_names (name, last_ordinal, last_number, last_change)
    SELECT name, max(ordinal), max(CASE WHEN trim(version, '0123456789') = '' AND length(version) BETWEEN 1 AND 18
                                        THEN CAST(version AS BIGINT) ELSE 0 END), max(ordinal)
    FROM environments GROUP BY name;

ALTER TABLE environments ADD COLUMN archived_at TEXT;
ALTER TABLE environments ADD COLUMN kind TEXT; -- how its packages come about, as in `env search --kind`
-- The version that it was made from (`register --from`).
ALTER TABLE environments ADD COLUMN from_name TEXT;
ALTER TABLE environments ADD COLUMN from_version TEXT;
CREATE INDEX environments_from ON environments (from_name, from_version);
CREATE INDEX environments_lock ON environments (lock);
CREATE INDEX environments_receipt ON environments (receipt);
CREATE INDEX environments_newest ON environments (name, ordinal DESC);
CREATE INDEX environments_creator ON environments (created_by);
CREATE INDEX environments_created ON environments (created_at);
CREATE INDEX environments_kind ON environments (kind);
CREATE INDEX runs_environment ON runs (environment, version);
CREATE INDEX runs_receipt ON runs (receipt);
CREATE INDEX runs_manifest ON runs (manifest);

CREATE TABLE labels (
    name     TEXT NOT NULL,
    label    TEXT NOT NULL,
    version  TEXT NOT NULL,
    moved_at TEXT NOT NULL,
    moved_by TEXT NOT NULL,
    PRIMARY KEY (name, label),
    FOREIGN KEY (name, version) REFERENCES environments (name, version)
);
CREATE INDEX labels_version ON labels (name, version);

-- The tags in `environments.body`, to be searched.
CREATE TABLE tags (
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    tag     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (name, version, tag)
);
CREATE INDEX tags_value ON tags (tag, value);

CREATE TABLE deleted_versions (
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    ordinal    BIGINT NOT NULL,
    deleted_at TEXT NOT NULL,
    deleted_by TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Rows are added and never changed.
CREATE TABLE history (
    name    TEXT NOT NULL,
    number  BIGINT NOT NULL, -- in the order of the changes to a name
    version TEXT,            -- none: about the name as a whole
    change  TEXT NOT NULL,   -- registered, description, tag, label, archived, restored, deleted
    subject TEXT,            -- which tag or label
    before  TEXT,
    after   TEXT,
    at      TEXT NOT NULL,
    who     TEXT NOT NULL,
    PRIMARY KEY (name, number)
);
INSERT INTO history (name, number, version, change, after, at, who)
    SELECT name, ordinal, version, 'registered', definition, created_at, created_by FROM environments;
