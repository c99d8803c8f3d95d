-- Consoles of guests: who asked for one, with which ticket, and whether it is open.
--
-- A row is made with a ticket that is good for seconds.  The replica that is shown the ticket claims the row and
-- becomes the place where the host's agent and the person meet; it says every few seconds that it is still there.
CREATE TABLE console_sessions (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants,
    instance_id uuid NOT NULL REFERENCES instances,
    host_id uuid NOT NULL REFERENCES hosts,
    -- The build of the root disk that it was opened for: a rebuild ends it.
    build integer NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- By which right: a session of the portal (its hash), or an API token.  Where that ends, so does the console.
    session_hash bytea,
    token_id uuid REFERENCES api_tokens ON DELETE CASCADE,
    -- Opened with the rights of an administrator, who is no member of the tenant.
    as_admin boolean NOT NULL DEFAULT false,
    kind text NOT NULL CONSTRAINT console_sessions_kind CHECK (kind IN ('vnc', 'serial')),
    -- SHA-256; the ticket itself is kept nowhere.
    ticket_hash bytea NOT NULL CONSTRAINT console_sessions_ticket UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    claimed_at timestamptz,
    -- Where the agent finds the replica that claimed it; NULL: where it finds the server.
    meets_at text,
    -- The guest's end was there.
    connected_at timestamptz,
    seen_at timestamptz,
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT console_sessions_right CHECK ((session_hash IS NULL) <> (token_id IS NULL))
);
CREATE INDEX console_sessions_host ON console_sessions (host_id) WHERE ended_at IS NULL;
CREATE INDEX console_sessions_tenant ON console_sessions (tenant_id) WHERE ended_at IS NULL;
CREATE INDEX console_sessions_created ON console_sessions (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON console_sessions TO jst_platform;
GRANT SELECT, INSERT ON console_sessions TO jst_tenant;
-- Nobody who reads as a customer needs to see these.
REVOKE SELECT ON console_sessions FROM jst_tenant;
GRANT SELECT (id, tenant_id, instance_id, user_id, kind, created_at, expires_at, claimed_at, connected_at, ended_at)
    ON console_sessions TO jst_tenant;
ALTER TABLE console_sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON console_sessions TO jst_tenant USING (tenant_id = current_tenant())
    WITH CHECK (tenant_id = current_tenant());
CREATE POLICY platform ON console_sessions TO jst_platform USING (true) WITH CHECK (true);

-- How many are open of an instance, a tenant and a host: a ticket that may still be used counts, and one that was
-- used for as long as its replica says so.  It counts other tenants' too, so it runs with the owner's rights.  The locks,
-- held until the transaction ends and always taken in this order, let none be opened between count and insert.
CREATE FUNCTION open_consoles(instance uuid, tenant uuid, host uuid,
        OUT of_instance bigint, OUT of_tenant bigint, OUT of_host bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('consoles of host ' || host::text, 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('consoles of tenant ' || tenant::text, 0));
    SELECT count(*) FILTER (WHERE instance_id = instance), count(*) FILTER (WHERE tenant_id = tenant),
        count(*) FILTER (WHERE host_id = host)
    INTO of_instance, of_tenant, of_host
    FROM console_sessions
    WHERE (host_id = host OR tenant_id = tenant) AND ended_at IS NULL
      AND CASE WHEN claimed_at IS NULL THEN expires_at > now() ELSE seen_at > now() - interval '1 minute' END;
END
$$;
REVOKE ALL ON FUNCTION open_consoles FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_consoles TO jst_tenant, jst_platform;
