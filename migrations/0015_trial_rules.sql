-- From which browsers somebody signed in: a random number in a cookie, which says nothing of the browser itself.
CREATE TABLE user_devices (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    device uuid NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, device)
);
CREATE INDEX user_devices_device ON user_devices (device);
CREATE INDEX user_devices_seen ON user_devices (seen_at);

-- Whoever was refused a trial may ask a person to look at it.
CREATE TABLE trial_appeals (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- Why a trial was refused at that moment.
    reason text NOT NULL,
    message text NOT NULL CONSTRAINT trial_appeals_message CHECK (length(message) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    decision text CONSTRAINT trial_appeals_decision CHECK (decision IN ('granted', 'declined')),
    decided_by uuid REFERENCES users,
    CONSTRAINT trial_appeals_decided CHECK ((decided_at IS NULL) = (decision IS NULL))
);
CREATE UNIQUE INDEX trial_appeals_one_open ON trial_appeals (user_id) WHERE decision IS NULL;
CREATE INDEX trial_appeals_user ON trial_appeals (user_id);

-- Of people, and not of tenants: no customer's connection sees them.
GRANT SELECT, INSERT, UPDATE, DELETE ON user_devices, trial_appeals TO jst_platform;
ALTER TABLE user_devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE trial_appeals ENABLE ROW LEVEL SECURITY;
CREATE POLICY platform ON user_devices TO jst_platform USING (true) WITH CHECK (true);
CREATE POLICY platform ON trial_appeals TO jst_platform USING (true) WITH CHECK (true);

-- What speaks against another trial, over all tenants: a count that a customer's connection cannot make.  The lock, held
-- until the transaction ends, makes trials follow each other, so that none starts between count and insert.
CREATE FUNCTION trial_signals(person uuid, address cidr, network cidr)
    RETURNS TABLE (granted boolean, from_devices bigint, from_address bigint, from_network bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('trials', 0));
    RETURN QUERY SELECT
        EXISTS (SELECT FROM trial_appeals WHERE user_id = person AND decision = 'granted'),
        (SELECT count(*) FROM trials WHERE trials.user_id <> person AND started_at > now() - interval '90 days'
            AND EXISTS (SELECT FROM user_devices AS own JOIN user_devices AS theirs USING (device)
                WHERE own.user_id = person AND theirs.user_id = trials.user_id)),
        (SELECT count(*) FROM trials WHERE ip <<= address AND started_at > now() - interval '24 hours'),
        (SELECT count(*) FROM trials WHERE ip <<= network AND started_at > now() - interval '24 hours');
END
$$;
REVOKE ALL ON FUNCTION trial_signals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trial_signals TO jst_tenant, jst_platform;
DROP FUNCTION recent_trials;
