-- Passkeys (WebAuthn): the public halves of keys that people sign in with, instead of a password and a code.
CREATE TABLE passkeys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL CONSTRAINT passkeys_name_length CHECK (length(name) BETWEEN 1 AND 100),
    -- What the authenticator calls it.
    credential_id bytea NOT NULL CONSTRAINT passkeys_credential_key UNIQUE,
    -- The public key and its counter, as the library writes them.
    credential jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    -- When the question was asked that was answered last.  Only later ones may be answered, so that no answer is
    -- good twice, and nothing has to be kept of a question that a stranger asked for.
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX passkeys_user ON passkeys (user_id);

-- What somebody does not want to be told by mail.
CREATE TABLE muted_topics (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    topic text NOT NULL,
    PRIMARY KEY (user_id, topic)
);

-- Whether the owner of a mailbox muted a topic.  Mails are written by customers' connections too.
CREATE FUNCTION is_muted(recipient text, wanted text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM muted_topics JOIN users ON users.id = user_id
        WHERE lower(email) = lower(recipient) AND topic = wanted)
$$;
REVOKE ALL ON FUNCTION is_muted FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_muted TO jst_tenant, jst_platform;

CREATE INDEX mail_outbox_recipient ON mail_outbox (lower(recipient), created_at DESC);

-- Of people, and not of tenants: no customer's connection sees them.
GRANT SELECT, INSERT, UPDATE, DELETE ON passkeys, muted_topics TO jst_platform;
ALTER TABLE passkeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE muted_topics ENABLE ROW LEVEL SECURITY;
CREATE POLICY platform ON passkeys TO jst_platform USING (true) WITH CHECK (true);
CREATE POLICY platform ON muted_topics TO jst_platform USING (true) WITH CHECK (true);
