-- Payments that come in through providers.
--
-- What a provider tells is kept before it is acknowledged, and applied afterwards, once: a server that dies between the two
-- finds it here again.  What is owed and paid stays in account_entries; these tables say why an entry was made.

CREATE TABLE payment_providers (
    provider text PRIMARY KEY CONSTRAINT payment_providers_provider CHECK (provider IN ('stripe', 'alipay', 'wechat')),
    enabled boolean NOT NULL DEFAULT false,
    -- By the field's name: what may be shown, and what may not, sealed by the server.
    settings jsonb NOT NULL DEFAULT '{}',
    secrets jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO payment_providers (provider) VALUES ('stripe'), ('alipay'), ('wechat');

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    currency text NOT NULL,
    provider text NOT NULL REFERENCES payment_providers,
    amount bigint NOT NULL CONSTRAINT payments_amount CHECK (amount > 0),
    -- billing::payments::state: what the provider has told so far, and what that comes to.
    facts jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'pending'
        CONSTRAINT payments_state CHECK (state IN ('pending', 'paid', 'failed', 'expired', 'refunded')),
    refunded bigint NOT NULL DEFAULT 0 CONSTRAINT payments_refunded CHECK (refunded >= 0),
    -- Where it is paid: an address to go to, or the text of a QR code.  NULL until the provider has answered.
    target text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    paid_at timestamptz,
    -- How many entries it has led to, and after how many of them it was looked whether the account is clear.
    entries integer NOT NULL DEFAULT 0,
    reviewed integer NOT NULL DEFAULT 0,
    FOREIGN KEY (tenant_id, currency) REFERENCES billing_accounts (tenant_id, currency)
);
CREATE INDEX payments_tenant ON payments (tenant_id, id);
CREATE INDEX payments_unreviewed ON payments (tenant_id) WHERE reviewed < entries;
CREATE INDEX payments_pending ON payments (expires_at) WHERE state = 'pending';

CREATE TABLE payment_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL REFERENCES payment_providers,
    event_id text NOT NULL CONSTRAINT payment_events_event_id CHECK (length(event_id) BETWEEN 1 AND 200),
    -- The provider's word for it.
    kind text NOT NULL,
    -- As it was received, to the byte.
    body bytea NOT NULL,
    -- What it says to us.  It is read when it is received, because a body may be sealed with a key that is replaced later;
    -- NULL where it could not be read.
    told jsonb,
    state text NOT NULL DEFAULT 'received' CONSTRAINT payment_events_state
        CHECK (state IN ('received', 'applied', 'ignored', 'unknown', 'disputed', 'unreadable')),
    -- A word that says why, for all but 'received' and 'applied'.
    reason text NOT NULL DEFAULT '',
    payment_id uuid REFERENCES payments,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    received_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    CONSTRAINT payment_events_once UNIQUE (provider, event_id)
);
CREATE INDEX payment_events_waiting ON payment_events (due_at, id) WHERE state = 'received';
CREATE INDEX payment_events_payment ON payment_events (payment_id);

-- What was received stays as it was received.
REVOKE UPDATE, DELETE ON payment_events FROM jst_platform;
GRANT UPDATE (told, state, reason, payment_id, attempts, due_at, last_error, processed_at) ON payment_events TO jst_platform;
REVOKE DELETE ON payments, payment_providers FROM jst_platform;

-- Customers see their payments; keys and what providers send are the platform's.
GRANT SELECT ON payments TO jst_tenant;
ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON payments TO jst_tenant USING (tenant_id = current_tenant());
CREATE POLICY platform ON payments TO jst_platform USING (true) WITH CHECK (true);
