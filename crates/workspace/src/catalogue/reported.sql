-- Version 11: runs on other machines: who tells of them, and when that was last heard.
ALTER TABLE runs ADD COLUMN reported_by TEXT;
ALTER TABLE runs ADD COLUMN heard_at TEXT;
