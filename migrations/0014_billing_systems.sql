-- The operator's own billing systems, which sell the platform's instances.

CREATE TABLE billing_systems (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT billing_systems_name CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX billing_systems_name_key ON billing_systems (lower(name));

-- A token opens /billing/v1 and nothing else.  A system may have several, so that one can be exchanged.
CREATE TABLE billing_system_tokens (
    id uuid PRIMARY KEY,
    system_id uuid NOT NULL REFERENCES billing_systems,
    -- What people recognise it by; not secret.
    prefix text NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT billing_system_tokens_hash_key UNIQUE,
    scopes text[] NOT NULL CONSTRAINT billing_system_tokens_scopes
        CHECK (scopes <@ ARRAY['read', 'provision', 'terminate', 'sso'] AND cardinality(scopes) > 0),
    created_by uuid NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX billing_system_tokens_system ON billing_system_tokens (system_id);

-- Who a system's customer is here: one tenant for each, so that what is bought elsewhere never meets an account that we
-- bill ourselves.
CREATE TABLE billing_owners (
    system_id uuid NOT NULL REFERENCES billing_systems,
    reference text NOT NULL CONSTRAINT billing_owners_reference CHECK (length(reference) BETWEEN 1 AND 255),
    tenant_id uuid NOT NULL CONSTRAINT billing_owners_tenant UNIQUE REFERENCES tenants,
    user_id uuid NOT NULL REFERENCES users,
    -- The account came into being here.  Only such accounts are signed in to at the system's word.
    made_here boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system_id, reference)
);

CREATE TABLE billing_services (
    id uuid PRIMARY KEY,
    system_id uuid NOT NULL REFERENCES billing_systems,
    external_ref text NOT NULL CONSTRAINT billing_services_ref CHECK (length(external_ref) BETWEEN 1 AND 255),
    tenant_id uuid NOT NULL REFERENCES tenants,
    user_id uuid NOT NULL REFERENCES users,
    -- Chosen before the instance is made, so that whoever is cut off in between goes on with the same one.
    instance_id uuid NOT NULL CONSTRAINT billing_services_instance UNIQUE,
    -- What is in force, and the number of the decision that says so.
    entitlement text NOT NULL DEFAULT 'active' CONSTRAINT billing_services_entitlement
        CHECK (entitlement IN ('active', 'suspended', 'terminated')),
    entitlement_version bigint NOT NULL CONSTRAINT billing_services_version CHECK (entitlement_version > 0),
    -- The number of the last decision about the plan.
    plan_version bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- A reference names one service at a time, and a new one once that is terminated.
CREATE UNIQUE INDEX billing_services_ref_key ON billing_services (system_id, external_ref) WHERE entitlement <> 'terminated';
CREATE INDEX billing_services_newest ON billing_services (system_id, external_ref, id DESC);
CREATE INDEX billing_services_list ON billing_services (system_id, id DESC);
CREATE INDEX billing_services_tenant ON billing_services (tenant_id);

-- Links that sign somebody in once, within a minute.
CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    -- Where it leads: a page of ours, written by us.
    path text NOT NULL CONSTRAINT sign_in_links_path CHECK (path LIKE '/%' AND path NOT LIKE '//%'),
    -- Who asked for it.
    issued_for text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX sign_in_links_expires ON sign_in_links (expires_at);

-- Customers learn that an instance of theirs is sold elsewhere, and by whom.
GRANT SELECT (id, tenant_id, instance_id, system_id) ON billing_services TO jst_tenant;
GRANT SELECT (id, name) ON billing_systems TO jst_tenant;
DO $$
DECLARE
    scoped text;
BEGIN
    FOREACH scoped IN ARRAY ARRAY['billing_services', 'billing_owners'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', scoped);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO jst_tenant USING (tenant_id = current_tenant())', scoped);
        EXECUTE format('CREATE POLICY platform ON %I TO jst_platform USING (true) WITH CHECK (true)', scoped);
    END LOOP;
END
$$;

-- Keys for repeated requests are a tenant's or a billing system's.  They are gone after a day either way.
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_tenant_id_fkey;

-- What is sold elsewhere is metered as everything else, at no price.
ALTER TABLE ledger DROP CONSTRAINT ledger_kind;
ALTER TABLE ledger ADD CONSTRAINT ledger_kind CHECK (kind IN ('sold', 'trial', 'retained', 'external'));

-- As in migration 10, with the kind 'external'.
CREATE OR REPLACE FUNCTION meter_instance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked instance_terms;
    now_asked instance_terms;
    force instance_terms;
    open ledger;
    wanted text;
    traffic billing_settings;
    at timestamptz;
BEGIN
    now_asked := (NEW.id, NEW.generation, now(), NEW.plan_id, NEW.plan_version,
        (NEW.policy #>> '{network,monthly_quota}')::bigint,
        EXISTS (SELECT FROM trials WHERE instance_id = NEW.id AND converted_at IS NULL), NEW.deleted_at IS NOT NULL);
    SELECT * INTO asked FROM instance_terms WHERE instance_id = NEW.id ORDER BY generation DESC LIMIT 1;
    IF (asked.plan_id, asked.plan_version, asked.quota_mib, asked.trial, asked.retained) IS DISTINCT FROM
        (now_asked.plan_id, now_asked.plan_version, now_asked.quota_mib, now_asked.trial, now_asked.retained)
    THEN
        DELETE FROM instance_terms WHERE instance_id = NEW.id AND generation = NEW.generation;
        INSERT INTO instance_terms SELECT now_asked.*;
    END IF;
    IF NEW.applied_generation = 0 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO force FROM instance_terms
        WHERE instance_id = NEW.id AND generation <= NEW.applied_generation ORDER BY generation DESC LIMIT 1;
    SELECT * INTO open FROM ledger WHERE instance_id = NEW.id AND resource = 'instance' ORDER BY n DESC LIMIT 1;
    wanted := CASE
        WHEN NEW.purged_at IS NOT NULL THEN NULL
        -- Its creation failed: what the host applies is only that nothing is left.
        WHEN NEW.tombstone_at IS NOT NULL AND open.n IS NULL THEN NULL
        WHEN force.retained OR NEW.deleted_at IS NOT NULL THEN 'retained'
        WHEN force.trial THEN 'trial'
        -- The service is written before its instance and never removed while there is one.
        WHEN EXISTS (SELECT FROM billing_services WHERE instance_id = NEW.id) THEN 'external'
        ELSE 'sold'
    END;
    IF open.until IS NOT NULL OR open.n IS NULL AND wanted IS NULL
        OR (open.kind, open.plan_id, open.plan_version, open.quota_mib) IS NOT DISTINCT FROM
            (wanted, force.plan_id, force.plan_version, force.quota_mib)
    THEN
        RETURN NULL;
    END IF;
    at := greatest(date_trunc('second', meter_clock()), open.since);
    UPDATE ledger SET until = at WHERE instance_id = NEW.id AND resource = 'instance' AND n = open.n;
    IF wanted IS NOT NULL THEN
        SELECT * INTO traffic FROM billing_settings;
        INSERT INTO ledger (instance_id, resource, n, tenant_id, kind, plan_id, plan_version, quota_mib,
            traffic_usd_micro, traffic_cny_micro, since)
        VALUES (NEW.id, 'instance', coalesce(open.n, 0) + 1, NEW.tenant_id, wanted, force.plan_id, force.plan_version,
            force.quota_mib, traffic.traffic_usd_micro, traffic.traffic_cny_micro, at);
    END IF;
    RETURN NULL;
END
$$;

-- Billing systems are told each direction.  What passed before this migration is known as a sum only.
ALTER TABLE traffic_hours
    ADD COLUMN in_bytes bigint NOT NULL DEFAULT 0 CONSTRAINT traffic_hours_in CHECK (in_bytes >= 0),
    ADD COLUMN out_bytes bigint NOT NULL DEFAULT 0 CONSTRAINT traffic_hours_out CHECK (out_bytes >= 0);

-- As in migration 10, with each direction beside the sum.
CREATE OR REPLACE FUNCTION meter_traffic() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    mark traffic_marks;
    in_bytes bigint := (NEW.usage ->> 'network_in_bytes')::bigint;
    out_bytes bigint := (NEW.usage ->> 'network_out_bytes')::bigint;
    grown_in bigint;
    grown_out bigint;
BEGIN
    SELECT * INTO mark FROM traffic_marks WHERE instance_id = NEW.instance_id FOR UPDATE;
    grown_in := counted(coalesce(mark.in_bytes, 0), in_bytes);
    grown_out := counted(coalesce(mark.out_bytes, 0), out_bytes);
    IF grown_in + grown_out = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO traffic_marks AS marks VALUES (NEW.instance_id, in_bytes, out_bytes)
    ON CONFLICT (instance_id) DO UPDATE SET
        in_bytes = CASE WHEN counted(marks.in_bytes, EXCLUDED.in_bytes) > 0 THEN EXCLUDED.in_bytes ELSE marks.in_bytes END,
        out_bytes = CASE WHEN counted(marks.out_bytes, EXCLUDED.out_bytes) > 0 THEN EXCLUDED.out_bytes ELSE marks.out_bytes END;
    INSERT INTO traffic_hours AS hours (instance_id, tenant_id, hour, bytes, in_bytes, out_bytes)
    VALUES (NEW.instance_id, NEW.tenant_id, date_trunc('hour', meter_clock(), 'UTC'), grown_in + grown_out, grown_in, grown_out)
    ON CONFLICT (instance_id, hour) DO UPDATE SET bytes = hours.bytes + EXCLUDED.bytes,
        in_bytes = hours.in_bytes + EXCLUDED.in_bytes, out_bytes = hours.out_bytes + EXCLUDED.out_bytes;
    RETURN NULL;
END
$$;
