-- Mails sealed at rest, one form of an address, and sessions that stay where a billing system's link led.

-- Mails ----------------------------------------------------------------------------------------
-- What is sent, and the same without links that open something, each sealed with the server's key. `body` is the plain
-- text of the release before. It goes with a later release; until then the server seals what it finds there.
ALTER TABLE mail_outbox
    ALTER COLUMN body DROP NOT NULL,
    ADD COLUMN body_sealed bytea,
    ADD COLUMN shown_sealed bytea;
UPDATE mail_outbox SET body = NULL WHERE sent_at IS NOT NULL;
CREATE INDEX mail_outbox_plain ON mail_outbox (id) WHERE body IS NOT NULL;

-- Addresses ------------------------------------------------------------------------------------
-- The server makes the one form of an address (accounts/email.rs): ASCII in lower case. Here it is only checked, by the
-- collation "C", which knows no other letters, so that no setting of the database decides who is who.
DO $$
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(email, ', ') INTO wrong FROM users WHERE octet_length(email) <> length(email);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'accounts have addresses that are not ASCII: %', wrong
            USING HINT = 'Give each another address (UPDATE users SET email = ...), and start again.';
    END IF;
    SELECT string_agg(form, ', ') INTO wrong FROM
        (SELECT lower(email COLLATE "C") AS form FROM users GROUP BY 1 HAVING count(*) > 1) AS twice;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'several accounts have one address, written differently: %', wrong
            USING HINT = 'Give all but one another address (UPDATE users SET email = ...), and start again.';
    END IF;
END
$$;
UPDATE users SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
UPDATE email_tokens SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
UPDATE mail_outbox SET recipient = lower(recipient COLLATE "C") WHERE recipient <> lower(recipient COLLATE "C");
-- Of several open invitations to one address the newest stays.
DELETE FROM invitations AS older USING invitations AS newer
    WHERE older.tenant_id = newer.tenant_id AND older.accepted_at IS NULL AND newer.accepted_at IS NULL
    AND lower(older.email COLLATE "C") = lower(newer.email COLLATE "C") AND older.id < newer.id;
UPDATE invitations SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");

-- The release before writes addresses as they were typed. This goes with a later release.
CREATE FUNCTION normal_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.email := lower(NEW.email COLLATE "C");
    RETURN NEW;
END
$$;
CREATE TRIGGER users_normal_email BEFORE INSERT OR UPDATE OF email ON users
    FOR EACH ROW EXECUTE FUNCTION normal_email();
CREATE TRIGGER email_tokens_normal_email BEFORE INSERT ON email_tokens
    FOR EACH ROW EXECUTE FUNCTION normal_email();
CREATE TRIGGER invitations_normal_email BEFORE INSERT ON invitations
    FOR EACH ROW EXECUTE FUNCTION normal_email();

ALTER TABLE users ADD CONSTRAINT users_email_normal
    CHECK (email = lower(email COLLATE "C") AND octet_length(email) = length(email));
ALTER TABLE invitations ADD CONSTRAINT invitations_email_normal
    CHECK (email = lower(email COLLATE "C") AND octet_length(email) = length(email));
-- Beside the indexes on lower(email), which the release before needs.
CREATE UNIQUE INDEX users_address_key ON users (email);
CREATE INDEX invitations_address ON invitations (email) WHERE accepted_at IS NULL;
CREATE INDEX mail_outbox_address ON mail_outbox (recipient, id DESC);

CREATE OR REPLACE FUNCTION is_muted(recipient text, wanted text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM muted_topics JOIN users ON users.id = user_id
        WHERE email = recipient AND topic = wanted)
$$;

-- Sign-in links --------------------------------------------------------------------------------
-- When the owner of an account has chosen a password. Accounts that a billing system made have none at first, and only
-- these are signed in to by links.
ALTER TABLE users ADD COLUMN own_password_at timestamptz;
UPDATE users SET own_password_at = now()
    WHERE NOT EXISTS (SELECT FROM billing_owners WHERE user_id = users.id AND made_here)
    OR EXISTS (SELECT FROM events WHERE actor_kind = 'user' AND actor_id = users.id
        AND action IN ('account.password_reset', 'account.password_changed'));
-- The session that a link begins is held to the tenants of its system. Links without one, which the release before
-- writes, are no longer good.
ALTER TABLE sign_in_links ADD COLUMN system_id uuid REFERENCES billing_systems;
-- Sessions from before are held to nothing: their people sign in once more.
DELETE FROM sessions WHERE user_id IN (SELECT user_id FROM billing_owners WHERE made_here);
