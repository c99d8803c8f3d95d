-- Webhooks: what happened, told to addresses that customers and the operator name.
--
-- A message is written by a trigger on the log of events, in the transaction of what happened: nothing that is told was
-- rolled back, nothing that happened is forgotten, no use case has to think of it, and nobody reads the log behind a
-- cursor, whose numbers become visible in another order than they were given.

CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY,
    -- NULL: the operator's, who is told what happens to everybody.
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT webhook_endpoints_name CHECK (length(name) BETWEEN 1 AND 100),
    url text NOT NULL CONSTRAINT webhook_endpoints_url CHECK (length(url) <= 2000),
    -- Empty: all.
    types text[] NOT NULL,
    -- Sealed.  The one before signs as well for a day after it was replaced.
    secret bytea NOT NULL,
    old_secret bytea,
    old_secret_until timestamptz,
    disabled_at timestamptz,
    disabled_reason text CONSTRAINT webhook_endpoints_reason
        CHECK (disabled_reason IN ('owner', 'gone', 'exhausted', 'overflow')),
    -- Its owners do not know yet that the platform has disabled it.
    untold boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_endpoints_disabled CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT webhook_endpoints_old CHECK ((old_secret IS NULL) = (old_secret_until IS NULL))
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant_id, id);

-- What is told: once, however many are told it.
CREATE TABLE webhook_messages (
    id uuid PRIMARY KEY,
    -- Whose event it is.
    tenant_id uuid,
    type text NOT NULL,
    -- As it is signed and sent, to the byte.
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_messages_created ON webhook_messages (created_at);

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    message_id uuid NOT NULL REFERENCES webhook_messages ON DELETE CASCADE,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    -- Whose endpoint it is.
    tenant_id uuid,
    -- A test: tried once, also where the endpoint is disabled, and without consequences.
    probe boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'pending' CONSTRAINT webhook_deliveries_state
        CHECK (state IN ('pending', 'succeeded', 'failed')),
    -- Of the present series; sending again begins a new one.
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Some replica is at it until then.
    leased_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT webhook_deliveries_once UNIQUE (endpoint_id, message_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (endpoint_id, leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX webhook_deliveries_message ON webhook_deliveries (message_id);
CREATE INDEX webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id DESC);

-- One request, and what came of it.
CREATE TABLE webhook_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    tenant_id uuid,
    at timestamptz NOT NULL,
    url text NOT NULL,
    -- As they were sent.  A signature is no secret: it fits this message only.
    headers jsonb NOT NULL,
    duration_ms integer NOT NULL,
    status integer,
    -- webhooks::deliver::Problem; NULL: accepted.
    problem text,
    -- The first bytes of the answer, as text.
    response text NOT NULL DEFAULT ''
);
CREATE INDEX webhook_attempts_delivery ON webhook_attempts (delivery_id, id);

-- What is told of which event: a closed list.  A fact that is not named here is not told, whatever an event comes to hold.
CREATE TABLE webhook_types (
    action text PRIMARY KEY,
    type text NOT NULL,
    -- The field with the id of what it happened to.
    subject text NOT NULL,
    -- Fields of the event's data that are told as they are.
    facts text[] NOT NULL,
    -- Fields {"from": …, "to": …} that are told under `changes`; '*' is all fields.
    changes text[] NOT NULL DEFAULT '{}'
);
INSERT INTO webhook_types (action, type, subject, facts, changes) VALUES
    ('instance.created', 'instance.created', 'instance_id', '{name,plan,plan_version,image,trial}', '{}'),
    ('instance.create_failed', 'instance.create_failed', 'instance_id', '{name,code,detail}', '{}'),
    ('instance.renamed', 'instance.updated', 'instance_id', '{name}', '{name,hostname}'),
    ('instance.resize_requested', 'instance.updated', 'instance_id', '{name}', '{plan,policy}'),
    ('instance.policy_changed', 'instance.updated', 'instance_id', '{name}', '{policy}'),
    ('instance.rebuild_requested', 'instance.updated', 'instance_id', '{name}', '{image}'),
    ('instance.firewall_changed', 'instance.updated', 'instance_id', '{name}', '{firewall}'),
    ('instance.protection_changed', 'instance.updated', 'instance_id', '{name}', '{delete_protection}'),
    ('instance.crashed', 'instance.crashed', 'instance_id', '{name}', '{}'),
    ('instance.stopped_itself', 'instance.stopped', 'instance_id', '{name}', '{}'),
    ('instance.suspended', 'instance.suspended', 'instance_id', '{name}', '{}'),
    ('instance.released', 'instance.released', 'instance_id', '{name}', '{}'),
    ('instance.delete_requested', 'instance.deleted', 'instance_id', '{name,purge_at}', '{}'),
    ('instance.undeleted', 'instance.restored', 'instance_id', '{name}', '{}'),
    ('instance.purged', 'instance.purged', 'instance_id', '{name}', '{}'),
    ('operation.succeeded', 'operation.succeeded', 'operation_id', '{instance_id,instance_name,kind,restart_required}', '{}'),
    ('operation.failed', 'operation.failed', 'operation_id', '{instance_id,instance_name,kind,code,detail}', '{}'),
    ('operation.cancelled', 'operation.cancelled', 'operation_id', '{instance_id,instance_name,kind}', '{}'),
    ('trial.started', 'trial.started', 'instance_id', '{name,expires_at}', '{}'),
    ('trial.reminded', 'trial.ending', 'instance_id', '{name,expires_at}', '{}'),
    ('trial.expired', 'trial.expired', 'instance_id', '{name}', '{}'),
    ('trial.converted', 'trial.converted', 'instance_id', '{name}', '{}'),
    ('trial.deleted', 'trial.deleted', 'instance_id', '{name}', '{}'),
    ('invoice.issued', 'invoice.issued', 'tenant_id', '{invoice_id,number,total,due_at}', '{}'),
    ('invoice.credited', 'invoice.credited', 'tenant_id', '{credit_note_id,number,invoice_id,invoice,total,reason}', '{}'),
    ('entry.payment', 'payment.received', 'entry_id', '{amount,reference}', '{}'),
    ('entry.refund', 'payment.refunded', 'entry_id', '{amount,reference}', '{}'),
    ('entry.credit', 'credit.added', 'entry_id', '{amount,reference}', '{}'),
    ('entry.voucher', 'credit.added', 'entry_id', '{amount,reference}', '{}'),
    ('billing.reminded', 'billing.reminded', 'tenant_id', '{available}', '{}'),
    ('billing.suspended', 'billing.suspended', 'tenant_id', '{available}', '{}'),
    ('billing.released', 'billing.released', 'tenant_id', '{available}', '{}'),
    ('host.enrolled', 'host.enrolled', 'host_id', '{hostname,agent_version}', '{}'),
    ('host.enrolled_again', 'host.enrolled', 'host_id', '{hostname,agent_version}', '{}'),
    ('host.lost', 'host.lost', 'host_id', '{name,last_seen_at}', '{}'),
    ('host.returned', 'host.returned', 'host_id', '{name}', '{}'),
    ('host.facts_reported', 'host.reported', 'host_id', '{qualification,agent_version,cpus,memory_mib,storage_mib,capabilities}', '{}'),
    ('host.updated', 'host.updated', 'host_id', '{}', '{*}'),
    ('host.repaired', 'host.repaired', 'host_id', '{fields,at}', '{}'),
    ('host.certificates_revoked', 'host.certificates_revoked', 'host_id', '{revoked}', '{}');

-- Ids that sort by time (UUID version 7), as the server makes them.
CREATE FUNCTION time_ordered_uuid() RETURNS uuid LANGUAGE sql VOLATILE
    RETURN encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid;

CREATE FUNCTION rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- How many messages may wait for one endpoint.  What comes beyond is not queued, and the endpoint is disabled.
CREATE FUNCTION webhook_queue_limit() RETURNS integer LANGUAGE sql STABLE RETURN 10000;

CREATE FUNCTION queue_webhooks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    known webhook_types;
    listening uuid[];
    told jsonb;
    changed jsonb;
    message uuid;
BEGIN
    SELECT * INTO known FROM webhook_types WHERE action = NEW.action;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The lock only keeps an endpoint from being deleted between here and the commit.
    SELECT array_agg(id) INTO listening FROM (
        SELECT id FROM webhook_endpoints
        WHERE (tenant_id = NEW.tenant_id OR tenant_id IS NULL) AND disabled_at IS NULL
          AND (types = '{}' OR known.type = ANY (types))
        ORDER BY id FOR KEY SHARE
    ) AS endpoints
    WHERE (SELECT count(*) FROM (
            SELECT FROM webhook_deliveries WHERE endpoint_id = endpoints.id AND state = 'pending' LIMIT webhook_queue_limit()
        ) AS waiting) < webhook_queue_limit();
    IF listening IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(jsonb_object_agg(key, CASE
            -- After a renaming its name is the new one.
            WHEN key = 'name' AND value ? 'to' THEN value -> 'to'
            WHEN key LIKE '%\_at' AND jsonb_typeof(value) = 'number' THEN to_jsonb(rfc3339(to_timestamp(value::bigint)))
            ELSE value
        END), '{}') INTO told
    FROM jsonb_each(NEW.data) WHERE key = ANY (known.facts) AND jsonb_typeof(value) <> 'null';
    IF known.changes <> '{}' THEN
        SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO changed
        FROM jsonb_each(NEW.data)
        WHERE (known.changes = '{*}' OR key = ANY (known.changes)) AND value -> 'from' IS DISTINCT FROM value -> 'to';
        told := told || jsonb_build_object('changes', changed);
    END IF;
    told := told || jsonb_build_object(known.subject, NEW.subject_id);
    IF NEW.tenant_id IS NOT NULL THEN
        told := told || jsonb_build_object('tenant_id', 'ten_' || replace(NEW.tenant_id::text, '-', ''));
    END IF;
    message := time_ordered_uuid();
    INSERT INTO webhook_messages (id, tenant_id, type, body) VALUES (message, NEW.tenant_id, known.type,
        jsonb_build_object('type', known.type, 'timestamp', rfc3339(NEW.at), 'data', told)::text);
    INSERT INTO webhook_deliveries (id, message_id, endpoint_id, tenant_id)
        SELECT time_ordered_uuid(), message, id, tenant_id FROM webhook_endpoints WHERE id = ANY (listening);
    RETURN NULL;
END
$$;
CREATE TRIGGER events_queue_webhooks AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION queue_webhooks();

-- Changes that the log did not hold: operations end in many places, and money comes in several ways.

CREATE FUNCTION log_operation_end() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO events (tenant_id, actor_kind, actor_label, action, subject_kind, subject_id, data)
    VALUES (NEW.tenant_id, 'system', 'platform', 'operation.' || NEW.state, 'operation',
        'op_' || replace(NEW.id::text, '-', ''),
        jsonb_build_object('instance_id', 'vm_' || replace(NEW.instance_id::text, '-', ''),
            'instance_name', (SELECT name FROM instances WHERE id = NEW.instance_id),
            'kind', NEW.kind, 'code', NEW.failure_code, 'detail', NEW.failure_detail,
            'restart_required', NEW.restart_required));
    RETURN NULL;
END
$$;
CREATE TRIGGER operations_log_end AFTER UPDATE OF state ON operations
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN ('succeeded', 'failed', 'cancelled'))
    EXECUTE FUNCTION log_operation_end();

CREATE FUNCTION log_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO events (tenant_id, actor_kind, actor_label, action, subject_kind, subject_id, data)
    VALUES (NEW.tenant_id, 'system', 'platform', 'entry.' || NEW.kind, 'entry', NEW.id::text,
        jsonb_build_object('reference', NEW.reference,
            'amount', jsonb_build_object('currency', NEW.currency, 'minor', NEW.amount)));
    RETURN NULL;
END
$$;
CREATE TRIGGER account_entries_log AFTER INSERT ON account_entries
    FOR EACH ROW WHEN (NEW.kind IN ('payment', 'refund', 'credit', 'voucher'))
    EXECUTE FUNCTION log_entry();

-- Since when a host is known to be away, so that it is told once.
ALTER TABLE hosts ADD COLUMN away_since timestamptz;

-- What waits for one endpoint is nobody else's business.
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints TO jst_tenant;
GRANT SELECT, INSERT ON webhook_messages TO jst_tenant;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO jst_tenant;
GRANT SELECT ON webhook_attempts TO jst_tenant;
REVOKE INSERT, UPDATE, DELETE ON webhook_types FROM jst_platform;

DO $$
DECLARE
    scoped text;
BEGIN
    FOREACH scoped IN ARRAY ARRAY['webhook_endpoints', 'webhook_messages', 'webhook_deliveries', 'webhook_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', scoped);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO jst_tenant USING (tenant_id = current_tenant()) '
            'WITH CHECK (tenant_id = current_tenant())', scoped);
        EXECUTE format('CREATE POLICY platform ON %I TO jst_platform USING (true) WITH CHECK (true)', scoped);
    END LOOP;
END
$$;
