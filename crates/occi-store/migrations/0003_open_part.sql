-- Whether any part of a collection's operation is still open is asked whenever one of them ends.
CREATE INDEX operation_open_part ON operation (parent, id) WHERE finished_ms IS NULL AND parent IS NOT NULL;
