-- A path is a folder and an id, and the id is unique: no index of paths is needed beside that of ids. What lies below a
-- path is found by its folder. SQLite drops no column that is unique: the table is made again.
CREATE TABLE entity_again (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- ends with '/'; the path of the entity is this and its id
    folder TEXT NOT NULL,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    owner TEXT NOT NULL,
    -- 'project', 'public' or a JSON list of projects
    visibility TEXT NOT NULL,
    backend TEXT,
    native_project TEXT NOT NULL,
    native_id TEXT,
    mixins TEXT NOT NULL,
    attributes TEXT NOT NULL,
    source TEXT,
    target TEXT,
    target_kind TEXT,
    target_id TEXT,
    state TEXT,
    created_ms BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    operation TEXT,
    hidden BIGINT NOT NULL,
    untouched BIGINT NOT NULL,
    -- occi.core.title again, for the index
    title TEXT,
    -- what it uses of the quota: a JSON list of five numbers, none if it uses nothing
    uses TEXT,
    -- listings that began at this time or before know less than the row
    fence_ms BIGINT NOT NULL,
    -- when the first complete listing began that did not show it
    missed_ms BIGINT
);
INSERT INTO entity_again (seq, id, folder, kind, project, owner, visibility, backend, native_project, native_id, mixins,
    attributes, source, target, target_kind, target_id, state, created_ms, modified_ms, generation, operation, hidden,
    untouched, title, uses, fence_ms, missed_ms)
SELECT seq, id, substr(path, 1, length(path) - length(id)), kind, project, owner, visibility, backend, native_project,
    native_id, mixins, attributes, source, target, target_kind, target_id, state, created_ms, modified_ms, generation,
    operation, hidden, untouched, title, uses, fence_ms, missed_ms
FROM entity ORDER BY seq;
DROP TABLE entity;
ALTER TABLE entity_again RENAME TO entity;
CREATE INDEX entity_folder ON entity (folder, seq) WHERE hidden = 0;
CREATE INDEX entity_kind ON entity (kind, seq) WHERE hidden = 0;
CREATE INDEX entity_project ON entity (project, seq, kind) WHERE hidden = 0;
CREATE INDEX entity_state ON entity (kind, state, seq) WHERE hidden = 0 AND state IS NOT NULL;
CREATE INDEX entity_title ON entity (title, seq) WHERE hidden = 0 AND title IS NOT NULL;
CREATE INDEX entity_source ON entity (source, seq) WHERE source IS NOT NULL;
CREATE INDEX entity_target ON entity (target_id, seq) WHERE target_id IS NOT NULL;
CREATE INDEX entity_scope ON entity (backend, native_project, kind, seq) WHERE hidden = 0 AND backend IS NOT NULL;
-- Many have their id as native id too, and are found by that.
CREATE UNIQUE INDEX entity_native ON entity (backend, kind, native_id, native_project) WHERE native_id <> id;
-- Nobody asks for the operations of one entity.
DROP INDEX operation_entity;
