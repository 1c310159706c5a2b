-- What no worker has, and was not put back after a failure, has no deadline yet: 0.
UPDATE operation SET deadline_ms = 0 WHERE finished_ms IS NULL AND lease_owner IS NULL AND error IS NULL;
