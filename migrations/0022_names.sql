-- Names of instances in one form, free again once the instance is deleted; and the domain of a host name.

-- What stands for a name in comparisons: compatible forms, without joiners and selectors of emoji, in lower case.
-- `name::same`, for what is typed to confirm, says the same but for the case.
CREATE FUNCTION name_key(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(normalize(translate(name, U&'\200C\200D\FE0E\FE0F', ''), NFKC));

-- Names from before may differ only in what the new form takes away: the newer of two is told apart by the end of its id,
-- and can be renamed like any other.
UPDATE instances AS newer SET name = left(name, 54) || ' ' || right(replace(id::text, '-', ''), 8)
WHERE deleted_at IS NULL AND purged_at IS NULL AND EXISTS (
    SELECT FROM instances AS older
    WHERE older.tenant_id = newer.tenant_id AND older.id < newer.id AND name_key(older.name) = name_key(newer.name)
        AND older.deleted_at IS NULL AND older.purged_at IS NULL
);

DROP INDEX instances_name_key;
CREATE UNIQUE INDEX instances_name_key ON instances (tenant_id, name_key(name))
    WHERE deleted_at IS NULL AND purged_at IS NULL;

-- 253 characters in all (RFC 1035), less the shortest label and its dot.
ALTER TABLE instances ADD COLUMN domain text CONSTRAINT instances_domain_form CHECK (
    length(hostname) + length(domain) <= 252
    AND domain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
);
