-- What an event tells of besides the entity's name, as it was then. Events from before have none of it.
ALTER TABLE event ADD COLUMN title TEXT;
ALTER TABLE event ADD COLUMN state TEXT;
-- As of the entity; none if only its project sees it.
ALTER TABLE event ADD COLUMN visibility TEXT;
ALTER TABLE event ADD COLUMN operation TEXT;
ALTER TABLE event ADD COLUMN operation_state TEXT;
