-- Version 5: when an image was last used, for whoever collects by use. By its lock, whose images of several platforms go together.
CREATE TABLE uses (
    lock    TEXT PRIMARY KEY,
    used_at TEXT NOT NULL
);
