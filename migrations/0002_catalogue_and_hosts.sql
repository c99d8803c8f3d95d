CREATE TABLE plans (
    id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT plans_slug_key UNIQUE
        CONSTRAINT plans_slug_form CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    -- Grows with every change.  An instance keeps the policy of the version it was moved to.
    version integer NOT NULL DEFAULT 1,
    name_en text NOT NULL,
    name_zh text NOT NULL,
    -- jst_policy::instance::ResourcePolicy, validated before it is written.
    policy jsonb NOT NULL,
    -- Minor units (cent, fen).
    price_monthly_usd bigint NOT NULL DEFAULT 0 CONSTRAINT plans_price_usd CHECK (price_monthly_usd >= 0),
    price_monthly_cny bigint NOT NULL DEFAULT 0 CONSTRAINT plans_price_cny CHECK (price_monthly_cny >= 0),
    -- Micro-units of the currency (10^-6), an hour.
    price_hourly_usd_micro bigint NOT NULL DEFAULT 0 CONSTRAINT plans_hourly_usd CHECK (price_hourly_usd_micro >= 0),
    price_hourly_cny_micro bigint NOT NULL DEFAULT 0 CONSTRAINT plans_hourly_cny CHECK (price_hourly_cny_micro >= 0),
    trial boolean NOT NULL DEFAULT false,
    public boolean NOT NULL DEFAULT true,
    restart_on_crash boolean NOT NULL DEFAULT true,
    sort_order integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

CREATE TABLE images (
    id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT images_slug_key UNIQUE
        CONSTRAINT images_slug_form CHECK (slug ~ '^[a-z0-9][a-z0-9.-]{0,39}$'),
    name text NOT NULL,
    os_family text NOT NULL DEFAULT 'linux',
    sha256 text NOT NULL CONSTRAINT images_sha256_form CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    format text NOT NULL CONSTRAINT images_format CHECK (format IN ('qcow2', 'raw')),
    file_bytes bigint NOT NULL CONSTRAINT images_file_bytes CHECK (file_bytes > 0),
    virtual_bytes bigint NOT NULL CONSTRAINT images_virtual_bytes CHECK (virtual_bytes > 0),
    min_memory_mib bigint NOT NULL DEFAULT 64,
    -- Whom to log in as.
    login_user text NOT NULL DEFAULT 'root',
    public boolean NOT NULL DEFAULT true,
    sort_order integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

CREATE TABLE hosts (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT hosts_name_key UNIQUE
        CONSTRAINT hosts_name_length CHECK (length(name) BETWEEN 1 AND 63),
    -- What the operator wants: active takes new guests, draining keeps what it has, disabled is out.
    state text NOT NULL DEFAULT 'active' CONSTRAINT hosts_state CHECK (state IN ('active', 'draining', 'disabled')),
    -- Grows with every change of what is desired on the host; the trigger below wakes the agent's request.
    revision bigint NOT NULL DEFAULT 1,
    -- The revision that the agent has acknowledged.
    acknowledged_revision bigint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    last_seen_at timestamptz,
    -- jst_protocol::report::{HostFacts, HostLoad}.
    facts jsonb,
    load jsonb,
    -- 'pending', 'kvm', 'emulated', 'simulated', 'failed'.
    qualification text NOT NULL DEFAULT 'pending',
    capabilities text[] NOT NULL DEFAULT '{}',
    nat boolean NOT NULL DEFAULT false,
    -- Capacity for guests, as measured less what the operator keeps for the system.
    capacity_cpu_millicpu bigint NOT NULL DEFAULT 0,
    capacity_memory_mib bigint NOT NULL DEFAULT 0,
    capacity_storage_mib bigint NOT NULL DEFAULT 0,
    capacity_network_kbit bigint NOT NULL DEFAULT 0,
    -- What the operator says that the uplink carries, where the agent cannot measure it.
    uplink_kbit bigint CONSTRAINT hosts_uplink CHECK (uplink_kbit > 0),
    system_memory_mib bigint NOT NULL DEFAULT 1024 CONSTRAINT hosts_system_memory CHECK (system_memory_mib >= 0),
    -- Sum of sizes over capacity, in thousandths.
    overcommit_cpu_permille bigint NOT NULL DEFAULT 8000 CONSTRAINT hosts_overcommit_cpu CHECK (overcommit_cpu_permille >= 1000),
    overcommit_memory_permille bigint NOT NULL DEFAULT 1000 CONSTRAINT hosts_overcommit_memory CHECK (overcommit_memory_permille >= 1000),
    overcommit_storage_permille bigint NOT NULL DEFAULT 1000 CONSTRAINT hosts_overcommit_storage CHECK (overcommit_storage_permille >= 1000),
    -- What is promised.  Changed only together with a row of bookings, in one statement.
    booked_cpu_millicpu bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_cpu CHECK (booked_cpu_millicpu >= 0),
    booked_vcpus bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_vcpus CHECK (booked_vcpus >= 0),
    booked_memory_reserved_mib bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_memory_reserved CHECK (booked_memory_reserved_mib >= 0),
    booked_memory_size_mib bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_memory_size CHECK (booked_memory_size_mib >= 0),
    booked_storage_mib bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_storage CHECK (booked_storage_mib >= 0),
    booked_network_in_kbit bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_network_in CHECK (booked_network_in_kbit >= 0),
    booked_network_out_kbit bigint NOT NULL DEFAULT 0 CONSTRAINT hosts_booked_network_out CHECK (booked_network_out_kbit >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_host() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('jst_host', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER hosts_notify AFTER UPDATE OF revision ON hosts
    FOR EACH ROW WHEN (OLD.revision IS DISTINCT FROM NEW.revision) EXECUTE FUNCTION notify_host();

CREATE TABLE host_join_tokens (
    secret_hash bytea PRIMARY KEY,
    host_name text NOT NULL,
    nat boolean NOT NULL DEFAULT false,
    created_by uuid REFERENCES users,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    host_id uuid REFERENCES hosts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE host_certificates (
    -- Lower-case hexadecimal serial number.
    serial text PRIMARY KEY,
    host_id uuid NOT NULL REFERENCES hosts ON DELETE CASCADE,
    not_after timestamptz NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX host_certificates_host ON host_certificates (host_id);

CREATE TABLE address_pools (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT address_pools_name_key UNIQUE,
    -- Addresses are booked from here; network, broadcast and gateway addresses are in `excluded`.
    network cidr NOT NULL,
    excluded inet[] NOT NULL DEFAULT '{}',
    nameservers inet[] NOT NULL DEFAULT '{}',
    -- Absent: any host may use it.
    host_id uuid REFERENCES hosts ON DELETE CASCADE,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT address_pools_no_overlap EXCLUDE USING gist (network inet_ops WITH &&)
);

CREATE TABLE settings (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
