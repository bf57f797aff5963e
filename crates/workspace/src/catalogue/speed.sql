-- Version 13: what is asked for often is answered by an index that has all of it, at a million versions as at a thousand.

-- Whether a name has this content already.
CREATE INDEX environments_content ON environments (name, content);
-- The versions of a lock, for what is searched by what locks hold.
DROP INDEX environments_lock;
CREATE INDEX environments_lock ON environments (lock, name, ordinal, archived_at, kind);
-- UNIQUE (name, ordinal) is the same, read backwards.
DROP INDEX environments_newest;
-- The versions with a tag, in the order of their names.
DROP INDEX tags_value;
CREATE INDEX tags_value ON tags (tag, value, name, version);
CREATE INDEX builds_started ON builds (started_at);
-- The bases that locks stand on, which are few among what they hold.
CREATE INDEX artifacts_base ON artifacts (name) WHERE ecosystem = 'base';
