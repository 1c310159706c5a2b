-- Which are past their time is asked every ten minutes, while others wait to write.
CREATE INDEX tombstone_removed ON tombstone (removed_ms);
