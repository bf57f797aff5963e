-- What became of a job's attempts, each counted for itself: a failure that may pass, a process that was killed, a worker that
-- was not heard of again.
ALTER TABLE jobs ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN kills BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;
-- The trace of whoever asked (W3C).
ALTER TABLE jobs ADD COLUMN traceparent TEXT;
-- The newest job of what is to be made.
CREATE INDEX jobs_key ON jobs (key, created_at);
