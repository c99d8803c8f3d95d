-- Credit: what an account may order and owe, disputed payments, and asking providers about payments.

ALTER TABLE billing_settings
    -- What an order must be covered for: everything that the account runs, and what is ordered, for so long.
    ADD COLUMN first_period text NOT NULL DEFAULT 'day'
        CONSTRAINT billing_settings_first_period CHECK (first_period IN ('hour', 'day', 'month')),
    -- What a postpaid account may owe unless its own limit says otherwise; cents and fen.
    ADD COLUMN credit_limit_usd bigint NOT NULL DEFAULT 50000
        CONSTRAINT billing_settings_credit_usd CHECK (credit_limit_usd >= 0),
    ADD COLUMN credit_limit_cny bigint NOT NULL DEFAULT 350000
        CONSTRAINT billing_settings_credit_cny CHECK (credit_limit_cny >= 0),
    -- Quotas that accounts reach by what they paid in all: billing::settings::QuotaStep.
    ADD COLUMN quota_steps jsonb NOT NULL DEFAULT
        '[{"paid_usd": 10000, "paid_cny": 70000, "instances": 20, "vcpus": 80, "memory_mib": 163840, "disk_mib": 2097152},
          {"paid_usd": 100000, "paid_cny": 700000, "instances": 50, "vcpus": 200, "memory_mib": 409600, "disk_mib": 5242880}]'
        CONSTRAINT billing_settings_quota_steps CHECK (jsonb_typeof(quota_steps) = 'array');

ALTER TABLE billing_accounts
    -- How far below zero the account may go, in cents or fen.  NULL: nothing for a prepaid account, and the platform's limit for
    -- a postpaid one.
    ADD COLUMN credit_limit bigint CONSTRAINT billing_accounts_credit CHECK (credit_limit >= 0),
    -- Since when it was open for orders for the first time.  It is opened once; after that only the operator opens it.
    ADD COLUMN opened_at timestamptz,
    -- The notice about the remaining runway that was sent last, in days.
    ADD COLUMN runway_told integer CONSTRAINT billing_accounts_runway CHECK (runway_told > 0);

UPDATE billing_accounts SET opened_at = now() FROM tenants WHERE tenants.id = tenant_id AND (may_buy OR EXISTS
    (SELECT FROM account_entries WHERE account_entries.tenant_id = billing_accounts.tenant_id AND kind = 'payment'));
-- Postpaid accounts had no limit until now; one that nobody chose must not stop what they run.
UPDATE billing_accounts SET credit_limit = 100000000 WHERE NOT prepaid;

ALTER TABLE tenants ADD COLUMN quota_grows boolean NOT NULL DEFAULT true;

-- When accounts were suspended for money.  What an instance was sold as is not charged in that time.
CREATE TABLE account_suspensions (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    since timestamptz NOT NULL,
    -- NULL: still suspended.
    until timestamptz,
    PRIMARY KEY (tenant_id, since),
    CONSTRAINT account_suspensions_forwards CHECK (until >= since)
);
CREATE UNIQUE INDEX account_suspensions_open ON account_suspensions (tenant_id) WHERE until IS NULL;
INSERT INTO account_suspensions (tenant_id, since)
    SELECT tenant_id, date_trunc('second', now()) FROM billing_accounts WHERE stage IN ('suspended', 'deleted');

ALTER TABLE vouchers ADD COLUMN opens_orders boolean NOT NULL DEFAULT true;

-- Disputes and lost notifications --------------------------------------------------------------

ALTER TABLE payments
    -- The provider's own number of the order, where it is needed to ask about it.
    ADD COLUMN reference text CONSTRAINT payments_reference CHECK (length(reference) <= 200),
    ADD COLUMN dispute text NOT NULL DEFAULT 'none'
        CONSTRAINT payments_dispute CHECK (dispute IN ('none', 'open', 'won', 'lost')),
    -- What disputes took and did not give back.
    ADD COLUMN disputed bigint NOT NULL DEFAULT 0 CONSTRAINT payments_disputed CHECK (disputed >= 0),
    -- An administrator decided that the dispute no longer closes the account.
    ADD COLUMN dispute_settled_at timestamptz,
    -- How often the provider was asked, and when it is asked again; NULL: no more.
    ADD COLUMN asked integer NOT NULL DEFAULT 0,
    ADD COLUMN ask_at timestamptz DEFAULT now() + interval '1 minute';
UPDATE payments SET ask_at = CASE WHEN state = 'pending' THEN now() END;
CREATE INDEX payments_ask ON payments (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX payments_disputes ON payments (tenant_id) WHERE dispute IN ('open', 'lost') AND dispute_settled_at IS NULL;
-- Disputes name the provider's transaction, and may come before their payment.
CREATE INDEX payments_transaction ON payments (provider, (facts ->> 'transaction'));
CREATE INDEX payment_events_orphans ON payment_events (provider, (told ->> 'transaction')) WHERE state = 'unknown';

ALTER TABLE account_entries DROP CONSTRAINT account_entries_kind;
ALTER TABLE account_entries ADD CONSTRAINT account_entries_kind
    CHECK (kind IN ('payment', 'refund', 'chargeback', 'credit', 'voucher', 'invoice', 'tax', 'credit_note'));

-- What is told of a chargeback or a refund says in which direction money moved.
CREATE OR REPLACE FUNCTION log_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO events (tenant_id, actor_kind, actor_label, action, subject_kind, subject_id, data)
    VALUES (NEW.tenant_id, 'system', 'platform',
        CASE WHEN NEW.kind = 'chargeback' AND NEW.credit = 'customer' THEN 'entry.chargeback_reversed'
            WHEN NEW.kind = 'refund' AND NEW.credit = 'customer' THEN 'entry.refund_failed'
            ELSE 'entry.' || NEW.kind END,
        'entry', NEW.id::text,
        jsonb_build_object('reference', NEW.reference,
            'amount', jsonb_build_object('currency', NEW.currency, 'minor', NEW.amount)));
    RETURN NULL;
END
$$;
DROP TRIGGER account_entries_log ON account_entries;
CREATE TRIGGER account_entries_log AFTER INSERT ON account_entries
    FOR EACH ROW WHEN (NEW.kind IN ('payment', 'refund', 'chargeback', 'credit', 'voucher'))
    EXECUTE FUNCTION log_entry();
INSERT INTO webhook_types (action, type, subject, facts, changes) VALUES
    ('entry.refund_failed', 'payment.refund_failed', 'entry_id', '{amount,reference}', '{}'),
    ('entry.chargeback', 'payment.charged_back', 'entry_id', '{amount,reference}', '{}'),
    ('entry.chargeback_reversed', 'payment.chargeback_reversed', 'entry_id', '{amount,reference}', '{}');

-- Orders ---------------------------------------------------------------------------------------

-- Locks an account until the end of the transaction, for customers who may not write it.  It is locked before the tenant's row,
-- as decisions about accounts do it.
CREATE FUNCTION lock_account(wanted uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM billing_accounts WHERE tenant_id = coalesce(current_tenant(), wanted) FOR NO KEY UPDATE;
END
$$;

-- What an account reached by what it paid, less what went back.
CREATE FUNCTION earned_quotas(wanted uuid)
    RETURNS TABLE (instances bigint, vcpus bigint, memory_mib bigint, disk_mib bigint)
    LANGUAGE sql STABLE AS $$
    SELECT max((step ->> 'instances')::bigint), max((step ->> 'vcpus')::bigint), max((step ->> 'memory_mib')::bigint),
        max((step ->> 'disk_mib')::bigint)
    FROM billing_accounts AS account CROSS JOIN billing_settings CROSS JOIN jsonb_array_elements(quota_steps) AS step
    WHERE account.tenant_id = wanted
        AND (step ->> CASE account.currency WHEN 'USD' THEN 'paid_usd' ELSE 'paid_cny' END)::bigint <= coalesce((
            SELECT sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END) FROM account_entries
            WHERE account_entries.tenant_id = wanted AND kind IN ('payment', 'refund', 'chargeback')), 0)
$$;

GRANT SELECT ON account_suspensions TO jst_tenant;
ALTER TABLE account_suspensions ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON account_suspensions TO jst_tenant USING (tenant_id = current_tenant());
CREATE POLICY platform ON account_suspensions TO jst_platform USING (true) WITH CHECK (true);
-- Who sells to a customer instead of us, for the words of a refusal.
GRANT SELECT (system_id, tenant_id) ON billing_owners TO jst_tenant;
