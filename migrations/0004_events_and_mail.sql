-- The one append-only log of what happened, written in the transaction of the change.  The audit
-- page, live pages, and later webhooks and metering read it.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant_id uuid,
    -- 'user', 'token', 'host', 'system'
    actor_kind text NOT NULL,
    actor_id uuid,
    actor_label text NOT NULL,
    ip inet,
    request_id text,
    -- 'tenant/key' of a request that was sent with an Idempotency-Key: the event is written together with
    -- the change, so it says whether a request that was cut off has taken effect.
    request_key text,
    -- 'instance.created', 'plan.updated', 'trial.refused' …
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    -- What changed: {"field": {"from": …, "to": …}} or facts of the event.  Never a secret.
    data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_tenant ON events (tenant_id, id DESC);
CREATE INDEX events_request_key ON events (request_key) WHERE request_key IS NOT NULL;
CREATE INDEX events_subject ON events (subject_kind, subject_id, id DESC);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END
$$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE mail_outbox (
    id uuid PRIMARY KEY,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    sent_at timestamptz,
    abandoned_at timestamptz
);
CREATE INDEX mail_outbox_due ON mail_outbox (next_attempt_at) WHERE sent_at IS NULL AND abandoned_at IS NULL;
