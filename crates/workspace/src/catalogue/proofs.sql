-- Version 4: what is said of images and attached to them: signed provenance, signatures, the record they are about. The blobs are in the
-- store, where no garbage collection takes them: an image that is made again has the same digest, and its proofs with it.
CREATE TABLE proofs (
    subject    TEXT NOT NULL, -- the image's manifest
    referrer   TEXT NOT NULL, -- the manifest of what refers to it
    key        TEXT,          -- the key that signed it
    body       TEXT NOT NULL, -- the referrer as JSON
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (subject, referrer)
);
