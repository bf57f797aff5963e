-- A token that is for less than its user, or for a while, ends those that were made with it when it ends.
ALTER TABLE tokens ADD COLUMN parent TEXT;
CREATE INDEX tokens_of_parents ON tokens (parent);
