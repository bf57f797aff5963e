-- What other registries have: images that were found there, with or without their bytes here, and in which of a registry's
-- repositories a blob is. Nobody vouches for it: who goes there sees whether it is so.
CREATE TABLE remote_images (
    lock       TEXT NOT NULL,
    platform   TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    manifest   TEXT NOT NULL,
    body       TEXT NOT NULL, -- the image as JSON
    reference  TEXT NOT NULL, -- HOST/NAME
    found_at   TEXT NOT NULL,
    PRIMARY KEY (lock, platform, epoch)
);
CREATE INDEX remote_images_by_manifest ON remote_images (manifest);
CREATE TABLE remote_blobs (
    registry   TEXT NOT NULL, -- HOST
    digest     TEXT NOT NULL,
    repository TEXT NOT NULL, -- NAME
    size       INTEGER NOT NULL,
    seen_at    TEXT NOT NULL,
    PRIMARY KEY (registry, digest, repository)
);
CREATE INDEX remote_blobs_by_digest ON remote_blobs (digest);
