-- Version 8: an image is a function of lock, platform and form: assembly epoch, compression, and the most layers that were allowed
-- (0 where nobody said). All images before were gzip, with as many layers as the rules gave them.
CREATE TABLE images_by_form (
    lock        TEXT NOT NULL REFERENCES documents (digest),
    platform    TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    compression TEXT NOT NULL,
    layers      BIGINT NOT NULL,
    manifest    TEXT NOT NULL,
    body        TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (lock, platform, epoch, compression, layers)
);
INSERT INTO images_by_form (lock, platform, epoch, compression, layers, manifest, body, created_at)
    SELECT lock, platform, epoch, 'gzip', 0, manifest, body, created_at FROM images;
DROP TABLE images;
ALTER TABLE images_by_form RENAME TO images;
CREATE INDEX images_manifest ON images (manifest);

-- The same of those that other registries have.
CREATE TABLE remote_images_by_form (
    lock        TEXT NOT NULL,
    platform    TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    compression TEXT NOT NULL,
    layers      BIGINT NOT NULL,
    manifest    TEXT NOT NULL,
    body        TEXT NOT NULL,
    reference   TEXT NOT NULL,
    found_at    TEXT NOT NULL,
    PRIMARY KEY (lock, platform, epoch, compression, layers)
);
INSERT INTO remote_images_by_form
    (lock, platform, epoch, compression, layers, manifest, body, reference, found_at)
    SELECT lock, platform, epoch, 'gzip', 0, manifest, body, reference, found_at FROM remote_images;
DROP TABLE remote_images;
ALTER TABLE remote_images_by_form RENAME TO remote_images;
CREATE INDEX remote_images_by_manifest ON remote_images (manifest);

-- Of attempts before it is not known.
ALTER TABLE builds ADD COLUMN epoch BIGINT;
ALTER TABLE builds ADD COLUMN compression TEXT;
ALTER TABLE builds ADD COLUMN layers BIGINT;
