-- What a listing is compared with: one kind in one native project of one backend.
CREATE INDEX entity_scope ON entity (backend, native_project, kind, seq) WHERE hidden = 0 AND backend IS NOT NULL;
