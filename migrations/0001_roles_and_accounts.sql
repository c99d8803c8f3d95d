-- Two roles, neither of which owns a table.  Customer requests run as jst_tenant, to whom row-level
-- security shows one tenant (jst.tenant_id, set for one transaction) and nothing when it is not set.
-- Workers, agents and administrators run as jst_platform.  Roles belong to the whole cluster, so
-- that another database of it may have made them already, perhaps at this very moment.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['jst_tenant', 'jst_platform'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
-- Granting to oneself fails where the migrating user is a superuser of another name only; concurrent
-- grants of the same membership (several test databases at once) are harmless and retried.
DO $$
BEGIN
    EXECUTE format('GRANT jst_tenant, jst_platform TO %I', current_user);
EXCEPTION WHEN unique_violation OR internal_error THEN
    NULL;
END
$$;

GRANT USAGE ON SCHEMA public TO jst_tenant, jst_platform;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO jst_platform;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO jst_platform;

CREATE FUNCTION current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('jst.tenant_id', true), '')::uuid;

-- People ---------------------------------------------------------------------------------------

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL CONSTRAINT users_email_length CHECK (length(email) BETWEEN 3 AND 254),
    email_verified_at timestamptz,
    password_hash text NOT NULL,
    locale text NOT NULL DEFAULT 'en' CONSTRAINT users_locale CHECK (locale IN ('en', 'zh-CN')),
    is_admin boolean NOT NULL DEFAULT false,
    -- Sealed with the server's key; absent until the second factor is confirmed.
    totp_secret bytea,
    -- The last time step that was accepted: a code is good once.
    totp_last_step bigint,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- One-use links in mails: verify, reset, change_email.
CREATE TABLE email_tokens (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose text NOT NULL CONSTRAINT email_tokens_purpose CHECK (purpose IN ('verify', 'reset', 'change_email')),
    email text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX email_tokens_user ON email_tokens (user_id);

-- Only a hash of the id is kept: who reads the table cannot sign in with it.
CREATE TABLE sessions (
    id_hash bytea PRIMARY KEY,
    user_id uuid REFERENCES users ON DELETE CASCADE,
    data jsonb NOT NULL,
    ip inet,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Fixed windows, counted where every replica sees them.  key: 'login:<email hash>', 'signup:<ip>' …
CREATE TABLE attempt_limits (
    key text PRIMARY KEY,
    window_start timestamptz NOT NULL,
    attempts integer NOT NULL
);

-- Tenants --------------------------------------------------------------------------------------

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT tenants_name_length CHECK (length(name) BETWEEN 1 AND 100),
    quota_instances integer NOT NULL DEFAULT 10 CONSTRAINT tenants_quota_instances CHECK (quota_instances >= 0),
    quota_vcpus integer NOT NULL DEFAULT 40 CONSTRAINT tenants_quota_vcpus CHECK (quota_vcpus >= 0),
    quota_memory_mib bigint NOT NULL DEFAULT 81920 CONSTRAINT tenants_quota_memory CHECK (quota_memory_mib >= 0),
    quota_disk_mib bigint NOT NULL DEFAULT 1048576 CONSTRAINT tenants_quota_disk CHECK (quota_disk_mib >= 0),
    -- True once the operator lets this tenant start instances of plans that are not trials.
    may_buy boolean NOT NULL DEFAULT false,
    suspended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE memberships (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CONSTRAINT memberships_role CHECK (role IN ('owner', 'operator', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    email text NOT NULL,
    role text NOT NULL CONSTRAINT invitations_role CHECK (role IN ('owner', 'operator', 'viewer')),
    token_hash bytea NOT NULL CONSTRAINT invitations_token_key UNIQUE,
    invited_by uuid NOT NULL REFERENCES users,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX invitations_open_key ON invitations (tenant_id, lower(email)) WHERE accepted_at IS NULL;

CREATE TABLE ssh_keys (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT ssh_keys_name_length CHECK (length(name) BETWEEN 1 AND 100),
    public_key text NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ssh_keys_fingerprint_key UNIQUE (tenant_id, fingerprint),
    CONSTRAINT ssh_keys_name_key UNIQUE (tenant_id, name)
);

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT api_tokens_name_length CHECK (length(name) BETWEEN 1 AND 100),
    -- What people recognise it by; not secret.
    prefix text NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT api_tokens_hash_key UNIQUE,
    -- 'read', 'write', and 'admin' for administrators only.
    scopes text[] NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_tokens_tenant ON api_tokens (tenant_id);

CREATE TABLE idempotency_keys (
    tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    key text NOT NULL CONSTRAINT idempotency_keys_length CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of method, path and body: the same key with another request is an error.
    request_hash bytea NOT NULL,
    -- Absent while the first request is still being worked on.
    status smallint,
    body text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
