-- What is not in force is neither given back nor cheaper; disks grow when asked for; a deletion that is undone is paid for.
--
-- A smaller plan counts once it was read back: until then the instance books the larger of both in every resource, and the
-- ledger stays with the dearer plan.

ALTER TABLE instances
    -- Nothing is in force any more that was only allowed before this generation.
    ADD COLUMN held_generation bigint NOT NULL DEFAULT 0,
    -- Nothing is in force yet that is only allowed after this generation.
    ADD COLUMN reached_generation bigint NOT NULL DEFAULT 0,
    -- The first of the deletions that were undone within a month, or the deletion in force: retention counts from it.
    ADD COLUMN first_deleted_at timestamptz;

-- Where a guest waits for a restart, something larger may be left: what was given back too early is booked by the next report.
UPDATE instances SET held_generation = greatest(0, applied_generation - (restart_required <> '{}')::integer), reached_generation = applied_generation,
    first_deleted_at = deleted_at WHERE purged_at IS NULL;

ALTER TABLE instances ADD CONSTRAINT instances_held_before_reached CHECK (held_generation <= reached_generation);

-- What an hour of a plan costs in millionths, to put plans in order: plans without a price an hour cost the 730th part of
-- their price a month, which is in hundredths.
CREATE FUNCTION price_rate(hour_micro bigint, month bigint) RETURNS numeric LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN hour_micro > 0 THEN hour_micro ELSE month * 10000 / 730.0 END;

-- As in migration 14, with two changes.  The kind is that of the newest terms of which anything is in force; the plan is the
-- dearest of all terms of which anything may be in force, in the customer's currency.
CREATE OR REPLACE FUNCTION meter_instance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked instance_terms;
    now_asked instance_terms;
    newest instance_terms;
    force instance_terms;
    open ledger;
    wanted text;
    traffic billing_settings;
    at timestamptz;
    -- Servers of the release before this one write only what was applied.
    reached bigint := greatest(NEW.reached_generation, NEW.applied_generation);
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
    IF reached = 0 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO newest FROM instance_terms
        WHERE instance_id = NEW.id AND generation <= reached ORDER BY generation DESC LIMIT 1;
    SELECT terms.* INTO force FROM instance_terms AS terms
        JOIN plan_versions AS plan ON plan.plan_id = terms.plan_id AND plan.version = terms.plan_version
        LEFT JOIN billing_accounts AS account ON account.tenant_id = NEW.tenant_id
        WHERE terms.instance_id = NEW.id AND terms.generation <= reached
            AND terms.generation >= coalesce((SELECT max(generation) FROM instance_terms
                WHERE instance_id = NEW.id AND generation <= NEW.held_generation), 0)
        ORDER BY CASE account.currency WHEN 'CNY' THEN price_rate(plan.price_hourly_cny_micro, plan.price_monthly_cny)
                ELSE price_rate(plan.price_hourly_usd_micro, plan.price_monthly_usd) END DESC,
            CASE account.currency WHEN 'CNY' THEN plan.price_monthly_cny ELSE plan.price_monthly_usd END DESC,
            terms.generation DESC
        LIMIT 1;
    SELECT * INTO open FROM ledger WHERE instance_id = NEW.id AND resource = 'instance' ORDER BY n DESC LIMIT 1;
    wanted := CASE
        WHEN NEW.purged_at IS NOT NULL THEN NULL
        -- Its creation failed: what the host applies is only that nothing is left.
        WHEN NEW.tombstone_at IS NOT NULL AND open.n IS NULL THEN NULL
        -- It is tried again after its creation failed, and is not there yet.
        WHEN open.n IS NULL AND reached < NEW.build_generation THEN NULL
        WHEN newest.retained OR NEW.deleted_at IS NOT NULL THEN 'retained'
        WHEN newest.trial THEN 'trial'
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

DROP TRIGGER instances_meter_update ON instances;
CREATE TRIGGER instances_meter_update AFTER UPDATE ON instances
    FOR EACH ROW WHEN ((OLD.generation, OLD.applied_generation, OLD.held_generation, OLD.reached_generation, OLD.plan_id,
            OLD.plan_version, OLD.policy, OLD.deleted_at, OLD.tombstone_at, OLD.purged_at)
        IS DISTINCT FROM (NEW.generation, NEW.applied_generation, NEW.held_generation, NEW.reached_generation, NEW.plan_id,
            NEW.plan_version, NEW.policy, NEW.deleted_at, NEW.tombstone_at, NEW.purged_at))
    EXECUTE FUNCTION meter_instance();
