-- One schema for SQLite and PostgreSQL: TEXT and BIGINT only, milliseconds since 1970, lists and attributes as JSON
-- text, truth as 0 or 1. What differs is adapted when the file is loaded (see schema.rs).

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('entity', 0), ('event', 0);

-- Clustered by the order of creation.
CREATE TABLE entity (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL UNIQUE,
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
CREATE INDEX entity_kind ON entity (kind, seq) WHERE hidden = 0;
CREATE INDEX entity_project ON entity (project, seq, kind) WHERE hidden = 0;
CREATE INDEX entity_state ON entity (kind, state, seq) WHERE hidden = 0 AND state IS NOT NULL;
CREATE INDEX entity_title ON entity (title, seq) WHERE hidden = 0 AND title IS NOT NULL;
CREATE INDEX entity_source ON entity (source, seq) WHERE source IS NOT NULL;
CREATE INDEX entity_target ON entity (target_id, seq) WHERE target_id IS NOT NULL;
CREATE UNIQUE INDEX entity_native ON entity (backend, kind, native_id, native_project) WHERE native_id IS NOT NULL;

CREATE TABLE entity_mixin (
    mixin TEXT NOT NULL,
    entity_seq BIGINT NOT NULL,
    PRIMARY KEY (mixin, entity_seq)
) WITHOUT ROWID;

-- Who sees an entity besides its project; the empty project is everybody.
CREATE TABLE share (
    project TEXT NOT NULL,
    entity_seq BIGINT NOT NULL,
    PRIMARY KEY (project, entity_seq)
) WITHOUT ROWID;

-- What was removed by us: a listing that still shows it brings nothing back.
CREATE TABLE tombstone (
    id TEXT PRIMARY KEY,
    backend TEXT NOT NULL,
    native_project TEXT NOT NULL,
    kind TEXT NOT NULL,
    native_id TEXT,
    removed_ms BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX tombstone_native ON tombstone (backend, native_project, kind, native_id);

CREATE TABLE scope (
    backend TEXT NOT NULL,
    native_project TEXT NOT NULL,
    kind TEXT NOT NULL,
    as_of_ms BIGINT NOT NULL,
    PRIMARY KEY (backend, native_project, kind)
) WITHOUT ROWID;

CREATE TABLE operation (
    id TEXT PRIMARY KEY,
    parent TEXT,
    entity TEXT,
    path TEXT,
    project TEXT NOT NULL,
    principal TEXT NOT NULL,
    backend TEXT,
    verb TEXT NOT NULL,
    intent TEXT NOT NULL,
    state TEXT NOT NULL,
    step TEXT,
    progress BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    engine_accepted BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until_ms BIGINT,
    not_before_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    deadline_ms BIGINT NOT NULL,
    error TEXT,
    result TEXT,
    -- from when on a worker may claim it: the end of the lease, else not_before_ms; never, for a parent
    due_ms BIGINT NOT NULL
);
CREATE INDEX operation_due ON operation (due_ms, id) WHERE finished_ms IS NULL;
CREATE INDEX operation_project ON operation (project, id);
CREATE INDEX operation_entity ON operation (entity, id) WHERE entity IS NOT NULL;
CREATE INDEX operation_parent ON operation (parent, id) WHERE parent IS NOT NULL;

CREATE TABLE event (
    number INTEGER PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    what TEXT NOT NULL,
    entity TEXT,
    path TEXT,
    kind TEXT,
    project TEXT,
    generation BIGINT NOT NULL
);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    principal TEXT NOT NULL,
    project TEXT,
    verb TEXT NOT NULL,
    path TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    request TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    project TEXT NOT NULL,
    token TEXT NOT NULL,
    hash TEXT NOT NULL,
    operation TEXT,
    answer TEXT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (principal, project, token)
) WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires_ms);

CREATE TABLE user_mixin (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    location TEXT NOT NULL,
    depends TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (project, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX user_mixin_location ON user_mixin (project, location);

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    operator BIGINT NOT NULL,
    default_project TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE member (
    account TEXT NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (account, project)
) WITHOUT ROWID;
CREATE INDEX member_project ON member (project);

CREATE TABLE project (
    name TEXT PRIMARY KEY,
    created_ms BIGINT NOT NULL,
    max_instances BIGINT,
    max_cores BIGINT,
    max_memory_mib BIGINT,
    max_volume_gib BIGINT,
    max_addresses BIGINT
) WITHOUT ROWID;

-- What the entities of a project use, all together.
CREATE TABLE project_usage (
    project TEXT PRIMARY KEY,
    instances BIGINT NOT NULL,
    cores BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    volume_gib BIGINT NOT NULL,
    addresses BIGINT NOT NULL
) WITHOUT ROWID;
