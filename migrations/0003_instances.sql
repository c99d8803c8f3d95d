CREATE TABLE instances (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    host_id uuid NOT NULL REFERENCES hosts,
    name text NOT NULL CONSTRAINT instances_name_length CHECK (length(name) BETWEEN 1 AND 63),
    hostname text NOT NULL CONSTRAINT instances_hostname_form
        CHECK (hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    plan_id uuid NOT NULL REFERENCES plans,
    plan_version integer NOT NULL,
    image_id uuid NOT NULL REFERENCES images,
    -- What was bought: the plan's policy as it stood when the instance was moved to it.
    policy jsonb NOT NULL,
    on_crash text NOT NULL DEFAULT 'restart' CONSTRAINT instances_on_crash CHECK (on_crash IN ('restart', 'stop')),
    build integer NOT NULL DEFAULT 1,
    -- The generation that brought this build: it is there once that generation was applied.
    build_generation bigint NOT NULL DEFAULT 1,
    mac text NOT NULL CONSTRAINT instances_mac_key UNIQUE,
    ssh_keys text[] NOT NULL DEFAULT '{}',
    user_data text,
    firewall jsonb NOT NULL DEFAULT '{}',
    delete_protection boolean NOT NULL DEFAULT false,
    -- What is desired.
    power text NOT NULL CONSTRAINT instances_power CHECK (power IN ('running', 'stopped')),
    generation bigint NOT NULL DEFAULT 1,
    epoch bigint NOT NULL DEFAULT 1,
    -- The host's revision at which this instance last changed: what the agent asks after.
    revision bigint NOT NULL,
    -- What was observed.
    observed text NOT NULL DEFAULT 'absent',
    -- The generation that the latest report was about, and the latest that was really in force.
    reported_generation bigint NOT NULL DEFAULT 0,
    applied_generation bigint NOT NULL DEFAULT 0,
    outcome jsonb,
    applied jsonb,
    -- Fields that need a restart, and fields that differ from what is desired.
    restart_required text[] NOT NULL DEFAULT '{}',
    drift text[] NOT NULL DEFAULT '{}',
    -- jst_policy::lifecycle::InstanceState, derived whenever one of its causes changes.
    state text NOT NULL DEFAULT 'provisioning',
    reported_at timestamptz,
    -- Set by delete; until purge_at the deletion can be undone.
    deleted_at timestamptz,
    purge_at timestamptz,
    -- Set once the host is told to remove everything: after the grace period, or because the creation
    -- failed for good (deleted_at is then empty until the customer deletes what is left to see).
    tombstone_at timestamptz,
    -- Set when the agent acknowledged the tombstone; the row stays as history, its bookings are gone.
    purged_at timestamptz,
    -- Stopped by the platform: 'trial_expired', 'suspended'.  Only the platform clears it.
    lock_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX instances_name_key ON instances (tenant_id, lower(name)) WHERE purged_at IS NULL;
CREATE INDEX instances_host_revision ON instances (host_id, revision);
CREATE INDEX instances_tenant ON instances (tenant_id, id);
CREATE INDEX instances_purge ON instances (purge_at) WHERE tombstone_at IS NULL AND purged_at IS NULL;

-- What an instance holds of its host.  Written and removed only in the statement that changes the
-- host's booked_ columns, so that the two always agree.
CREATE TABLE bookings (
    instance_id uuid PRIMARY KEY REFERENCES instances,
    host_id uuid NOT NULL REFERENCES hosts,
    cpu_millicpu bigint NOT NULL,
    vcpus bigint NOT NULL,
    memory_reserved_mib bigint NOT NULL,
    memory_size_mib bigint NOT NULL,
    storage_mib bigint NOT NULL,
    network_in_kbit bigint NOT NULL,
    network_out_kbit bigint NOT NULL
);
CREATE INDEX bookings_host ON bookings (host_id);

CREATE TABLE addresses (
    address inet PRIMARY KEY,
    pool_id uuid NOT NULL REFERENCES address_pools,
    instance_id uuid NOT NULL REFERENCES instances,
    tenant_id uuid NOT NULL REFERENCES tenants,
    interface_index integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT addresses_no_overlap EXCLUDE USING gist (address inet_ops WITH &&)
);
CREATE INDEX addresses_instance ON addresses (instance_id);

-- The job as the customer sees it.
CREATE TABLE operations (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    instance_id uuid NOT NULL REFERENCES instances,
    kind text NOT NULL CONSTRAINT operations_kind CHECK (kind IN ('create', 'start', 'shutdown', 'power_off',
        'reboot', 'rebuild', 'resize', 'rename', 'firewall', 'delete', 'undelete', 'purge')),
    state text NOT NULL DEFAULT 'pending' CONSTRAINT operations_state
        CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    -- The generation whose application ends it.
    generation bigint NOT NULL,
    -- True for work that is done once and reported by the operation's id.
    one_shot boolean NOT NULL DEFAULT false,
    -- jst_protocol::report::Step and percent.
    step text NOT NULL DEFAULT 'queued',
    percent smallint NOT NULL DEFAULT 0,
    -- On success with something left: the fields that need a restart.
    restart_required text[] NOT NULL DEFAULT '{}',
    failure_code text,
    failure_detail text,
    requested_by uuid REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    deadline_at timestamptz NOT NULL,
    -- Set when the deadline passed and the operator was told.
    alerted_at timestamptz
);
CREATE INDEX operations_instance ON operations (instance_id, id DESC);
CREATE INDEX operations_tenant ON operations (tenant_id, id DESC);
CREATE INDEX operations_open ON operations (instance_id) WHERE state IN ('pending', 'running');
CREATE INDEX operations_deadline ON operations (deadline_at) WHERE state IN ('pending', 'running');

CREATE TABLE trials (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    -- One for each verified person, ever.
    user_id uuid NOT NULL CONSTRAINT trials_one_each UNIQUE REFERENCES users,
    -- The mailbox with tags and dots removed, so that a+1@ and a+2@ are one person.
    mailbox text NOT NULL CONSTRAINT trials_one_mailbox UNIQUE,
    instance_id uuid NOT NULL REFERENCES instances,
    ip inet,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- Mails already sent on the way.
    reminded_at timestamptz,
    stopped_at timestamptz,
    converted_at timestamptz,
    deleted_at timestamptz
);
CREATE INDEX trials_due ON trials (expires_at) WHERE converted_at IS NULL AND deleted_at IS NULL;

-- Latest usage counters of an instance; history belongs to the metrics store.
CREATE TABLE instance_usage (
    instance_id uuid PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    tenant_id uuid NOT NULL,
    at timestamptz NOT NULL,
    usage jsonb NOT NULL
);

-- Pages wait on this channel; the payload is the tenant.
CREATE FUNCTION notify_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('jst_tenant', NEW.tenant_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER operations_notify_insert AFTER INSERT ON operations
    FOR EACH ROW EXECUTE FUNCTION notify_tenant();
CREATE TRIGGER operations_notify_update AFTER UPDATE ON operations
    FOR EACH ROW WHEN ((OLD.state, OLD.step, OLD.percent) IS DISTINCT FROM (NEW.state, NEW.step, NEW.percent))
    EXECUTE FUNCTION notify_tenant();
CREATE TRIGGER instances_notify_update AFTER UPDATE ON instances
    FOR EACH ROW WHEN ((OLD.state, OLD.generation, OLD.restart_required, OLD.drift, OLD.applied)
        IS DISTINCT FROM (NEW.state, NEW.generation, NEW.restart_required, NEW.drift, NEW.applied))
    EXECUTE FUNCTION notify_tenant();
