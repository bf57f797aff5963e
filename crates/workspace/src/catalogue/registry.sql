-- Version 2: what is pushed to `provenv registry serve`. Never edited once released.

-- Blobs of a repository; their bytes are in the store. One that no manifest names goes some time after it came.
CREATE TABLE registry_blobs (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    size       BIGINT NOT NULL,
    added_at   TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_blobs_digest ON registry_blobs (digest);

CREATE TABLE registry_manifests (
    repository TEXT NOT NULL,
    digest     TEXT NOT NULL,
    media_type TEXT NOT NULL,
    subject    TEXT,          -- digest of the manifest that it is about
    descriptor TEXT NOT NULL, -- JSON: how it is listed among the referrers of its subject
    pushed_at  TEXT NOT NULL,
    pushed_by  TEXT,
    PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_manifests_subject ON registry_manifests (repository, subject);

-- What a manifest names: its blobs, or the manifests of an index.
CREATE TABLE registry_parts (
    repository TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    part       TEXT NOT NULL,
    PRIMARY KEY (repository, manifest, part),
    FOREIGN KEY (repository, manifest) REFERENCES registry_manifests (repository, digest) ON DELETE CASCADE
);
CREATE INDEX registry_parts_part ON registry_parts (repository, part);

CREATE TABLE registry_tags (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    PRIMARY KEY (repository, tag),
    FOREIGN KEY (repository, manifest) REFERENCES registry_manifests (repository, digest) ON DELETE CASCADE
);
CREATE INDEX registry_tags_manifest ON registry_tags (repository, manifest);

-- A repository is called as its environment is, in lower case.
CREATE INDEX environments_repository ON environments (lower(name));
