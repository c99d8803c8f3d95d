-- What a credential made ends with it, and what may have been an intruder's waits for its owner.

-- A passkey from before the password was reset signs nobody in until its owner has confirmed it.
ALTER TABLE passkeys ADD COLUMN unconfirmed_at timestamptz;

-- When the password was last reset by mail: for some days the security page asks to look for what somebody else left.
ALTER TABLE users ADD COLUMN password_reset_at timestamptz;

-- The token by which an invitation was made, or an endpoint was last changed; NULL: by a person on a page.
-- An endpoint stops with it, until a person takes it over.
ALTER TABLE invitations ADD COLUMN token_id uuid REFERENCES api_tokens ON DELETE CASCADE;
ALTER TABLE webhook_endpoints ADD COLUMN token_id uuid REFERENCES api_tokens ON DELETE SET NULL;
CREATE INDEX webhook_endpoints_token ON webhook_endpoints (token_id) WHERE token_id IS NOT NULL;

ALTER TABLE webhook_endpoints DROP CONSTRAINT webhook_endpoints_reason;
ALTER TABLE webhook_endpoints ADD CONSTRAINT webhook_endpoints_reason
    CHECK (disabled_reason IN ('owner', 'gone', 'exhausted', 'overflow', 'token'));

-- Whether a token still works.
CREATE FUNCTION token_works(token uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM api_tokens WHERE id = token AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > now()))
$$;

-- An invitation is worth what its inviter still may: an owner who is neither disabled nor gone, and by a token that works.
CREATE FUNCTION inviter_may(tenant uuid, inviter uuid, token uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (token IS NULL OR token_works(token)) AND EXISTS (SELECT FROM memberships JOIN users ON users.id = user_id
        WHERE tenant_id = tenant AND user_id = inviter AND role = 'owner' AND disabled_at IS NULL)
$$;
REVOKE ALL ON FUNCTION token_works, inviter_may FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_works, inviter_may TO jst_tenant, jst_platform;

-- The rights of the first request with a key: whoever repeats it needs all of them.
ALTER TABLE idempotency_keys ADD COLUMN rights text[];
