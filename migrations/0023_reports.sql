-- What the platform could not take or do, while everything else went on: a host's report about one instance, one step of
-- one of its workers.  Each is tried again, the latest attempt replaces the one before, and a success removes it.
CREATE TABLE set_aside (
    -- What kind of work it is; see server/src/set_aside.
    kind text NOT NULL CONSTRAINT set_aside_kind CHECK (kind ~ '^[a-z_]{1,40}$'),
    -- The id of what it is about, and for an invoice its month too.
    subject text NOT NULL CONSTRAINT set_aside_subject CHECK (length(subject) BETWEEN 1 AND 100),
    -- No foreign keys: noting that something cannot be done must not wait for a lock on what it is about.
    host_id uuid,
    instance_id uuid,
    tenant_id uuid,
    -- Why: a word of ours, and what the database or our own code said.
    reason text NOT NULL CONSTRAINT set_aside_reason CHECK (length(reason) BETWEEN 1 AND 60),
    detail text NOT NULL CONSTRAINT set_aside_detail CHECK (length(detail) <= 1000),
    -- What could not be taken, as it came.
    document text CONSTRAINT set_aside_document CHECK (length(document) <= 65536),
    failures integer NOT NULL DEFAULT 1 CONSTRAINT set_aside_failures CHECK (failures > 0),
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    -- When the platform tries again by itself.
    next_at timestamptz NOT NULL,
    -- When the operator was told.
    told_at timestamptz,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX set_aside_host ON set_aside (host_id);
CREATE INDEX set_aside_instance ON set_aside (instance_id);
CREATE INDEX set_aside_last ON set_aside (last_at);

-- The operator's business only: customers' requests have no right to it, and the platform sees all of it.
ALTER TABLE set_aside ENABLE ROW LEVEL SECURITY;
CREATE POLICY platform ON set_aside TO jst_platform USING (true) WITH CHECK (true);
