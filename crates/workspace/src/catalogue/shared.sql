-- Names that another workspace of the same server shares: what they are there, and read only here.
CREATE TABLE shared_names (
    name  TEXT PRIMARY KEY,
    place TEXT NOT NULL,  -- `WORKSPACE/NAME`
    seen  BIGINT NOT NULL -- the last change there that is known here
);
