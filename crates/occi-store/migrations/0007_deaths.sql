-- How often the worker of an operation has died, of which the operation may be the cause.
ALTER TABLE operation ADD COLUMN deaths BIGINT NOT NULL DEFAULT 0;
