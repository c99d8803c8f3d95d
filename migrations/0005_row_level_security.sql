-- What a customer's request may touch at all.  Row-level security narrows it to one tenant: the
-- second layer, beside the tenant in every query.
GRANT SELECT ON plans, images, hosts, address_pools, settings, tenants, memberships, users, bookings, instance_usage
    TO jst_tenant;
GRANT UPDATE (revision, booked_cpu_millicpu, booked_vcpus, booked_memory_reserved_mib, booked_memory_size_mib,
    booked_storage_mib, booked_network_in_kbit, booked_network_out_kbit) ON hosts TO jst_tenant;
GRANT UPDATE (name) ON tenants TO jst_tenant;
GRANT INSERT, UPDATE, DELETE ON memberships, bookings TO jst_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations, ssh_keys, api_tokens, idempotency_keys, instances, operations,
    trials, addresses TO jst_tenant;
GRANT SELECT, INSERT ON events TO jst_tenant;
GRANT INSERT ON mail_outbox TO jst_tenant;
-- Password hashes and second factors are not a customer request's business.
REVOKE SELECT ON users FROM jst_tenant;
GRANT SELECT (id, email, email_verified_at, locale, disabled_at, created_at) ON users TO jst_tenant;

DO $$
DECLARE
    scoped text;
BEGIN
    FOREACH scoped IN ARRAY ARRAY['memberships', 'invitations', 'ssh_keys', 'api_tokens', 'idempotency_keys',
        'instances', 'operations', 'trials', 'addresses', 'instance_usage', 'events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', scoped);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO jst_tenant USING (tenant_id = current_tenant()) '
            'WITH CHECK (tenant_id = current_tenant())', scoped);
        EXECUTE format('CREATE POLICY platform ON %I TO jst_platform USING (true) WITH CHECK (true)', scoped);
    END LOOP;
END
$$;

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenants TO jst_tenant USING (id = current_tenant());
CREATE POLICY platform ON tenants TO jst_platform USING (true) WITH CHECK (true);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY fellow_members ON users FOR SELECT TO jst_tenant
    USING (EXISTS (SELECT FROM memberships WHERE memberships.user_id = users.id AND tenant_id = current_tenant()));
CREATE POLICY platform ON users TO jst_platform USING (true) WITH CHECK (true);

ALTER TABLE bookings ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON bookings TO jst_tenant
    USING (EXISTS (SELECT FROM instances WHERE instances.id = bookings.instance_id AND tenant_id = current_tenant()))
    WITH CHECK (EXISTS (SELECT FROM instances WHERE instances.id = bookings.instance_id AND tenant_id = current_tenant()));
CREATE POLICY platform ON bookings TO jst_platform USING (true) WITH CHECK (true);

-- Books the lowest free address of a pool.  It must see every tenant's addresses to find a free
-- one, so it runs with the owner's rights and returns nothing but the new address.  The lock on the
-- pool's row puts concurrent bookings in a line; NULL means that the pool is used up.
CREATE FUNCTION book_address(pool uuid, instance uuid, tenant uuid) RETURNS inet
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    chosen address_pools;
    candidate inet;
BEGIN
    SELECT * INTO chosen FROM address_pools WHERE id = pool AND enabled FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The first gap: the first address, or one just after a taken or excluded one, that is itself
    -- neither.  The network's own address and its last one are never given away.
    SELECT set_masklen(free, CASE family(chosen.network) WHEN 4 THEN 32 ELSE 128 END) INTO candidate
    FROM (
        SELECT host(network(chosen.network))::inet + 1 AS free
        UNION
        SELECT host(address)::inet + 1 FROM addresses WHERE pool_id = pool
        UNION
        SELECT host(excluded)::inet + 1 FROM unnest(chosen.excluded) AS excluded
    ) AS candidates
    WHERE free > host(network(chosen.network))::inet
      AND free < host(broadcast(chosen.network))::inet
      AND NOT EXISTS (SELECT FROM addresses WHERE address = free)
      AND NOT EXISTS (SELECT FROM unnest(chosen.excluded) AS excluded WHERE host(excluded)::inet = free)
    ORDER BY free
    LIMIT 1;
    IF candidate IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO addresses (address, pool_id, instance_id, tenant_id) VALUES (candidate, pool, instance, tenant);
    RETURN candidate;
END
$$;
REVOKE ALL ON FUNCTION book_address FROM PUBLIC;

-- Trials that were started from a network in the last 24 hours, by anybody: a count that a customer's
-- role cannot make, because it sees its own tenant only.  The lock, held until the transaction ends,
-- makes trials from one network follow each other, so that none starts between count and insert.
CREATE FUNCTION recent_trials(network cidr) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('trial ' || network::text, 0));
    RETURN (SELECT count(*) FROM trials WHERE ip <<= network AND started_at > now() - interval '24 hours');
END
$$;
REVOKE ALL ON FUNCTION recent_trials FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recent_trials TO jst_tenant, jst_platform;
GRANT EXECUTE ON FUNCTION book_address TO jst_tenant, jst_platform;
GRANT EXECUTE ON FUNCTION current_tenant TO jst_tenant, jst_platform;
