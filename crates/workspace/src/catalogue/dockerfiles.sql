-- Version 6: runs of Dockerfiles are builds too. There is no lock yet, so `lock` is empty and this says what they are for.
ALTER TABLE builds ADD COLUMN definition TEXT;
