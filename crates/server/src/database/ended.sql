-- What ended lately, to be counted.
CREATE INDEX jobs_ended ON jobs (ended_at);
