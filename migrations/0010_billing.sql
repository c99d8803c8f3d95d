-- Metering and money.
--
-- What every instance was sold as, and from when to when, is written by triggers in the very transaction that
-- makes it so: the report that says that a change was applied, or the request that deletes.  So nothing is lost or
-- doubled wherever a server is killed, no use case can forget it, and there is no reader that could fall behind.  A
-- report that cannot be metered is not taken, and agents repeat what was not taken.

-- Identifiers in exclusion constraints.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;

-- What the operator decides about money: one row.
CREATE TABLE billing_settings (
    id boolean PRIMARY KEY DEFAULT true CONSTRAINT billing_settings_one CHECK (id),
    -- The first month for which invoices are made, and after which who does not pay is told and locked.  NULL: never; then
    -- everything is metered, and somebody else bills.
    first_month date CONSTRAINT billing_settings_first_month CHECK (extract(day FROM first_month) = 1),
    -- Months of bills begin and end in this zone of the IANA database.
    time_zone text NOT NULL DEFAULT 'UTC' CONSTRAINT billing_settings_zone CHECK (length(time_zone) BETWEEN 1 AND 64),
    -- Of new customers.
    currency text NOT NULL DEFAULT 'USD' CONSTRAINT billing_settings_currency CHECK (currency IN ('USD', 'CNY')),
    prepaid boolean NOT NULL DEFAULT true,
    -- Hundredths of a percent; prices are net, or contain the tax already.
    tax_rate integer NOT NULL DEFAULT 0 CONSTRAINT billing_settings_tax CHECK (tax_rate BETWEEN 0 AND 10000),
    tax_included boolean NOT NULL DEFAULT false,
    -- A GiB beyond the quota, in millionths.
    traffic_usd_micro bigint NOT NULL DEFAULT 0 CONSTRAINT billing_settings_traffic_usd
        CHECK (traffic_usd_micro BETWEEN 0 AND 1000000000),
    traffic_cny_micro bigint NOT NULL DEFAULT 0 CONSTRAINT billing_settings_traffic_cny
        CHECK (traffic_cny_micro BETWEEN 0 AND 1000000000),
    -- Who bills, as it stands on every invoice.
    issuer text NOT NULL DEFAULT '' CONSTRAINT billing_settings_issuer CHECK (length(issuer) <= 1000),
    -- Days from an invoice to its due date, and from there to each step of dunning.
    due_days integer NOT NULL DEFAULT 14 CONSTRAINT billing_settings_due CHECK (due_days BETWEEN 0 AND 365),
    remind_days integer NOT NULL DEFAULT 1,
    suspend_days integer NOT NULL DEFAULT 7,
    delete_days integer NOT NULL DEFAULT 30,
    -- A prepaid balance below this, in cents or fen, is told by mail.
    low_balance_usd bigint NOT NULL DEFAULT 500 CONSTRAINT billing_settings_low_usd CHECK (low_balance_usd >= 0),
    low_balance_cny bigint NOT NULL DEFAULT 3000 CONSTRAINT billing_settings_low_cny CHECK (low_balance_cny >= 0),
    CONSTRAINT billing_settings_order CHECK (0 <= remind_days AND remind_days <= suspend_days
        AND suspend_days < delete_days AND delete_days <= 3650)
);
INSERT INTO billing_settings DEFAULT VALUES;

-- Prices ---------------------------------------------------------------------------------------

-- Every version of a plan with its prices: plans are changed in place, and bills must be made again from what
-- stood there.
CREATE TABLE plan_versions (
    plan_id uuid NOT NULL REFERENCES plans,
    version integer NOT NULL,
    name_en text NOT NULL,
    name_zh text NOT NULL,
    price_monthly_usd bigint NOT NULL,
    price_monthly_cny bigint NOT NULL,
    price_hourly_usd_micro bigint NOT NULL,
    price_hourly_cny_micro bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plan_id, version)
);
CREATE TRIGGER plan_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

CREATE FUNCTION keep_plan_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO plan_versions (plan_id, version, name_en, name_zh, price_monthly_usd, price_monthly_cny,
        price_hourly_usd_micro, price_hourly_cny_micro)
    VALUES (NEW.id, NEW.version, NEW.name_en, NEW.name_zh, NEW.price_monthly_usd, NEW.price_monthly_cny,
        NEW.price_hourly_usd_micro, NEW.price_hourly_cny_micro)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER plans_keep_version AFTER INSERT OR UPDATE ON plans
    FOR EACH ROW EXECUTE FUNCTION keep_plan_version();

-- Prices of earlier versions were not kept: instances that have one are metered at today's.
INSERT INTO plan_versions (plan_id, version, name_en, name_zh, price_monthly_usd, price_monthly_cny,
    price_hourly_usd_micro, price_hourly_cny_micro)
SELECT id, earlier, name_en, name_zh, price_monthly_usd, price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro
FROM plans, generate_series(1, version) AS earlier;

-- The ledger -----------------------------------------------------------------------------------

CREATE INDEX trials_instance ON trials (instance_id);

-- What an instance was asked to be from a generation on: which terms are in force is the latest of them that the agent
-- has reported as applied, while newer ones may be on their way.
CREATE TABLE instance_terms (
    instance_id uuid NOT NULL REFERENCES instances,
    generation bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    plan_id uuid NOT NULL,
    plan_version integer NOT NULL,
    -- Traffic included in a calendar month; NULL: unmetered.
    quota_mib bigint,
    -- A trial that nobody had bought when this was asked for.
    trial boolean NOT NULL,
    -- Deleted, and kept for the grace period.
    retained boolean NOT NULL,
    PRIMARY KEY (instance_id, generation),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_versions
);

CREATE TABLE ledger (
    instance_id uuid NOT NULL REFERENCES instances,
    -- What is metered.  Snapshots and addresses become resources of their own: 'snapshot/ID', 'address/ID'.
    resource text NOT NULL CONSTRAINT ledger_resource CHECK (resource = 'instance'),
    n integer NOT NULL CONSTRAINT ledger_n CHECK (n > 0),
    previous integer GENERATED ALWAYS AS (nullif(n - 1, 0)) STORED,
    tenant_id uuid NOT NULL REFERENCES tenants,
    -- Charged, or kept for free: as a trial, or after its deletion until it is purged.
    kind text NOT NULL CONSTRAINT ledger_kind CHECK (kind IN ('sold', 'trial', 'retained')),
    plan_id uuid NOT NULL,
    plan_version integer NOT NULL,
    quota_mib bigint,
    traffic_usd_micro bigint NOT NULL,
    traffic_cny_micro bigint NOT NULL,
    -- Whole seconds; the second of `until` belongs to the next interval.  NULL: open.
    since timestamptz NOT NULL CONSTRAINT ledger_since CHECK (extract(microseconds FROM since)::bigint % 1000000 = 0),
    until timestamptz CONSTRAINT ledger_until CHECK (extract(microseconds FROM until)::bigint % 1000000 = 0),
    PRIMARY KEY (instance_id, resource, n),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_versions,
    CONSTRAINT ledger_forwards CHECK (until >= since),
    CONSTRAINT ledger_end UNIQUE (instance_id, resource, n, until),
    -- No gap: each interval begins in the second in which the one before it ended.
    CONSTRAINT ledger_no_gap FOREIGN KEY (instance_id, resource, previous, since)
        REFERENCES ledger (instance_id, resource, n, until),
    CONSTRAINT ledger_no_overlap
        EXCLUDE USING gist (instance_id WITH =, resource WITH =, tstzrange(since, until) WITH &&)
);
CREATE INDEX ledger_tenant ON ledger (tenant_id, instance_id, n);

-- An interval is written once and closed once.
CREATE FUNCTION close_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.until IS NULL AND NEW.until IS NOT NULL THEN
        OLD.until := NEW.until;
        -- Generated columns are not there yet.
        OLD.previous := NEW.previous;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'intervals of the ledger are only closed';
END
$$;
CREATE TRIGGER ledger_closes BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION close_only();
CREATE TRIGGER ledger_append_only BEFORE DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- One place for the time, which tests set.  It is asked while the row of the instance is locked, so that, unlike the
-- beginning of the transaction, it only goes on.
CREATE FUNCTION meter_clock() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN clock_timestamp();

-- Writes down what an instance is asked to be, and switches the ledger to what is in force.
--
-- Everything counts from the report that says that it is applied.  Only a deletion counts from the request: nobody
-- pays for how long a host takes to let go.
CREATE FUNCTION meter_instance() RETURNS trigger
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
CREATE TRIGGER instances_meter_insert AFTER INSERT ON instances
    FOR EACH ROW EXECUTE FUNCTION meter_instance();
CREATE TRIGGER instances_meter_update AFTER UPDATE ON instances
    FOR EACH ROW WHEN ((OLD.generation, OLD.applied_generation, OLD.plan_id, OLD.plan_version, OLD.policy, OLD.deleted_at,
            OLD.tombstone_at, OLD.purged_at)
        IS DISTINCT FROM (NEW.generation, NEW.applied_generation, NEW.plan_id, NEW.plan_version, NEW.policy,
            NEW.deleted_at, NEW.tombstone_at, NEW.purged_at))
    EXECUTE FUNCTION meter_instance();

-- A trial is noted after its instance, in the same transaction.
CREATE FUNCTION note_trial() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE instance_terms SET trial = true WHERE instance_id = NEW.instance_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER trials_note AFTER INSERT ON trials FOR EACH ROW EXECUTE FUNCTION note_trial();

-- Traffic --------------------------------------------------------------------------------------

-- Both directions together.  Samples may be dropped, and these rows are not: they are written with the report.
CREATE TABLE traffic_hours (
    instance_id uuid NOT NULL REFERENCES instances,
    tenant_id uuid NOT NULL REFERENCES tenants,
    hour timestamptz NOT NULL,
    bytes bigint NOT NULL CONSTRAINT traffic_hours_bytes CHECK (bytes >= 0),
    PRIMARY KEY (instance_id, hour)
);
CREATE INDEX traffic_hours_tenant ON traffic_hours (tenant_id, hour);
-- The highest readings so far.
CREATE TABLE traffic_marks (
    instance_id uuid PRIMARY KEY REFERENCES instances,
    in_bytes bigint NOT NULL,
    out_bytes bigint NOT NULL
);

-- What a counter has grown by.  One that fell below a half was started anew; one that fell by less is a late report,
-- which says nothing new.
CREATE FUNCTION counted(before bigint, reading bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN reading >= before THEN reading - before WHEN reading < before / 2 THEN reading ELSE 0 END;

CREATE FUNCTION meter_traffic() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    mark traffic_marks;
    in_bytes bigint := (NEW.usage ->> 'network_in_bytes')::bigint;
    out_bytes bigint := (NEW.usage ->> 'network_out_bytes')::bigint;
    grown bigint;
BEGIN
    SELECT * INTO mark FROM traffic_marks WHERE instance_id = NEW.instance_id FOR UPDATE;
    grown := counted(coalesce(mark.in_bytes, 0), in_bytes) + counted(coalesce(mark.out_bytes, 0), out_bytes);
    IF grown = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO traffic_marks AS marks VALUES (NEW.instance_id, in_bytes, out_bytes)
    ON CONFLICT (instance_id) DO UPDATE SET
        in_bytes = CASE WHEN counted(marks.in_bytes, EXCLUDED.in_bytes) > 0 THEN EXCLUDED.in_bytes ELSE marks.in_bytes END,
        out_bytes = CASE WHEN counted(marks.out_bytes, EXCLUDED.out_bytes) > 0 THEN EXCLUDED.out_bytes ELSE marks.out_bytes END;
    INSERT INTO traffic_hours AS hours VALUES (NEW.instance_id, NEW.tenant_id, date_trunc('hour', meter_clock(), 'UTC'), grown)
    ON CONFLICT (instance_id, hour) DO UPDATE SET bytes = hours.bytes + EXCLUDED.bytes;
    RETURN NULL;
END
$$;
CREATE TRIGGER instance_usage_meter AFTER INSERT OR UPDATE OF usage ON instance_usage
    FOR EACH ROW EXECUTE FUNCTION meter_traffic();

-- What passed before there was a ledger is nobody's debt.
INSERT INTO traffic_marks
    SELECT instance_id, (usage ->> 'network_in_bytes')::bigint, (usage ->> 'network_out_bytes')::bigint FROM instance_usage;

-- Instances that there are already are metered from now on.  What they have on their way counts as theirs.
INSERT INTO instance_terms (instance_id, generation, plan_id, plan_version, quota_mib, trial, retained)
    SELECT id, 0, plan_id, plan_version, (policy #>> '{network,monthly_quota}')::bigint,
        EXISTS (SELECT FROM trials WHERE instance_id = instances.id AND converted_at IS NULL), deleted_at IS NOT NULL
    FROM instances WHERE purged_at IS NULL;
INSERT INTO ledger (instance_id, resource, n, tenant_id, kind, plan_id, plan_version, quota_mib, traffic_usd_micro,
    traffic_cny_micro, since)
    SELECT id, 'instance', 1, tenant_id,
        CASE WHEN deleted_at IS NOT NULL THEN 'retained'
            WHEN EXISTS (SELECT FROM trials WHERE instance_id = instances.id AND converted_at IS NULL) THEN 'trial'
            ELSE 'sold' END,
        plan_id, plan_version, (policy #>> '{network,monthly_quota}')::bigint, 0, 0, date_trunc('second', now())
    FROM instances WHERE purged_at IS NULL AND applied_generation > 0;

-- Accounts -------------------------------------------------------------------------------------

-- One for every tenant.
CREATE TABLE billing_accounts (
    tenant_id uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    -- Everything that a tenant owes and pays is in one currency.  It can be changed until there is a first entry.
    currency text NOT NULL CONSTRAINT billing_accounts_currency CHECK (currency IN ('USD', 'CNY')),
    prepaid boolean NOT NULL,
    -- Instead of the operator's rate.
    tax_rate integer CONSTRAINT billing_accounts_tax CHECK (tax_rate BETWEEN 0 AND 10000),
    -- Name, address and tax number as they stand on invoices; the tenant's name when empty.
    billed_to text NOT NULL DEFAULT '' CONSTRAINT billing_accounts_billed_to CHECK (length(billed_to) <= 1000),
    -- billing::dunning::Stage.
    stage text NOT NULL DEFAULT 'clear' CONSTRAINT billing_accounts_stage
        CHECK (stage IN ('clear', 'reminded', 'suspended', 'deleted')),
    overdue_since timestamptz,
    -- The tenant was suspended for money, and not by an administrator before.
    suspended_here boolean NOT NULL DEFAULT false,
    -- Grows with every decision about what the tenant may use.  A decision that was made upon an earlier version is
    -- older than the one in force, in whatever order the two arrive, and changes nothing.
    entitlement_version bigint NOT NULL DEFAULT 0,
    low_balance_told_at timestamptz,
    UNIQUE (tenant_id, currency)
);

CREATE FUNCTION open_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO billing_accounts (tenant_id, currency, prepaid)
        SELECT NEW.id, currency, prepaid FROM billing_settings;
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_open_account AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION open_account();
INSERT INTO billing_accounts (tenant_id, currency, prepaid) SELECT tenants.id, currency, prepaid FROM tenants, billing_settings;

-- Suspended tenants' instances that ran before, to be started again.
CREATE TABLE suspended_instances (
    instance_id uuid PRIMARY KEY REFERENCES instances,
    tenant_id uuid NOT NULL REFERENCES tenants,
    power text NOT NULL CONSTRAINT suspended_instances_power CHECK (power IN ('running', 'stopped'))
);

-- Documents ------------------------------------------------------------------------------------

-- The last number given in each series.  It is taken in the transaction that writes the document, so that none is missing.
CREATE TABLE document_numbers (
    series text PRIMARY KEY CONSTRAINT document_numbers_series CHECK (series IN ('invoice', 'credit_note')),
    last bigint NOT NULL
);
INSERT INTO document_numbers VALUES ('invoice', 0), ('credit_note', 0);

-- Amounts are minor units (cents, fen).
CREATE TABLE invoices (
    id uuid PRIMARY KEY,
    number bigint NOT NULL CONSTRAINT invoices_number_key UNIQUE,
    tenant_id uuid NOT NULL,
    currency text NOT NULL,
    -- The first day of the month whose end it was made at.
    month date NOT NULL,
    time_zone text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    net bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL CONSTRAINT invoices_total CHECK (total = net + tax),
    tax_rate integer NOT NULL,
    tax_included boolean NOT NULL,
    issuer text NOT NULL,
    billed_to text NOT NULL,
    FOREIGN KEY (tenant_id, currency) REFERENCES billing_accounts (tenant_id, currency),
    CONSTRAINT invoices_month_key UNIQUE (tenant_id, month)
);

CREATE TABLE invoice_lines (
    invoice_id uuid NOT NULL REFERENCES invoices,
    n integer NOT NULL,
    tenant_id uuid NOT NULL,
    instance_id uuid NOT NULL REFERENCES instances,
    -- As it was called then.
    name text NOT NULL,
    month date NOT NULL,
    item text NOT NULL CONSTRAINT invoice_lines_item CHECK (item IN ('time', 'traffic')),
    resource text NOT NULL,
    -- The interval of the ledger; of traffic the last one of the month.
    interval integer NOT NULL,
    plan_id uuid NOT NULL,
    plan_version integer NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    -- Seconds, or bytes beyond the quota.
    quantity bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (invoice_id, n),
    FOREIGN KEY (plan_id, plan_version) REFERENCES plan_versions,
    FOREIGN KEY (instance_id, resource, interval) REFERENCES ledger
);
CREATE INDEX invoice_lines_tenant ON invoice_lines (tenant_id, month);

CREATE TABLE credit_notes (
    id uuid PRIMARY KEY,
    number bigint NOT NULL CONSTRAINT credit_notes_number_key UNIQUE,
    invoice_id uuid NOT NULL REFERENCES invoices,
    tenant_id uuid NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    net bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL CONSTRAINT credit_notes_total CHECK (total = net + tax AND total > 0),
    reason text NOT NULL CONSTRAINT credit_notes_reason CHECK (length(reason) BETWEEN 1 AND 500)
);
CREATE INDEX credit_notes_invoice ON credit_notes (invoice_id);

-- How far the invoices of a month are made, in the order of tenants: who goes on after an interruption gives the same
-- numbers to the same tenants.
CREATE TABLE invoice_runs (
    month date PRIMARY KEY,
    time_zone text NOT NULL,
    last_tenant uuid,
    begun_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE TABLE vouchers (
    id uuid PRIMARY KEY,
    -- SHA-256 of the code: who reads the table cannot redeem it.
    code_hash bytea NOT NULL CONSTRAINT vouchers_code_key UNIQUE,
    currency text NOT NULL CONSTRAINT vouchers_currency CHECK (currency IN ('USD', 'CNY')),
    amount bigint NOT NULL CONSTRAINT vouchers_amount CHECK (amount > 0),
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    redeemed_at timestamptz,
    redeemed_by uuid REFERENCES tenants
);

-- Every movement of money: from one account to another, so that the sum over all accounts is always zero.  A balance is
-- the sum of its entries and is stored nowhere.
CREATE TABLE account_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant_id uuid NOT NULL,
    currency text NOT NULL,
    debit text NOT NULL,
    credit text NOT NULL,
    amount bigint NOT NULL CONSTRAINT account_entries_amount CHECK (amount > 0),
    kind text NOT NULL CONSTRAINT account_entries_kind
        CHECK (kind IN ('payment', 'refund', 'credit', 'voucher', 'invoice', 'tax', 'credit_note')),
    -- What must not be entered twice: a document's id, a bank's reference.
    reference text NOT NULL,
    note text NOT NULL DEFAULT '',
    invoice_id uuid REFERENCES invoices,
    actor text NOT NULL,
    FOREIGN KEY (tenant_id, currency) REFERENCES billing_accounts (tenant_id, currency),
    CONSTRAINT account_entries_sides CHECK (debit <> credit AND 'customer' IN (debit, credit)
        AND debit IN ('customer', 'bank', 'goodwill', 'revenue', 'tax')
        AND credit IN ('customer', 'bank', 'goodwill', 'revenue', 'tax')),
    CONSTRAINT account_entries_once UNIQUE (tenant_id, kind, reference)
);
CREATE INDEX account_entries_tenant ON account_entries (tenant_id, id);

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['invoices', 'invoice_lines', 'credit_notes', 'account_entries'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()', kept || '_append_only', kept);
    END LOOP;
END
$$;

-- Customers read what is theirs.  Only a voucher is redeemed at their wish, and that is the platform's doing.
GRANT SELECT ON billing_settings, plan_versions, ledger, traffic_hours, billing_accounts, invoices, invoice_lines,
    credit_notes, account_entries TO jst_tenant;
REVOKE UPDATE, DELETE ON plan_versions, ledger, traffic_hours, traffic_marks, instance_terms, invoices, invoice_lines,
    credit_notes, account_entries FROM jst_platform;

DO $$
DECLARE
    scoped text;
BEGIN
    FOREACH scoped IN ARRAY ARRAY['ledger', 'traffic_hours', 'billing_accounts', 'suspended_instances', 'invoices',
        'invoice_lines', 'credit_notes', 'account_entries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', scoped);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO jst_tenant USING (tenant_id = current_tenant())', scoped);
        EXECUTE format('CREATE POLICY platform ON %I TO jst_platform USING (true) WITH CHECK (true)', scoped);
    END LOOP;
END
$$;
