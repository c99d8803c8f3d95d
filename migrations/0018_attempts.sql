-- Counters of attempts that slow down: before `not_before` the next attempt is refused without being counted.  After
-- `expires_at` a counter says nothing and is removed.  The defaults are for the release before, which writes neither.
ALTER TABLE attempt_limits
    ADD COLUMN not_before timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '2 days';
CREATE INDEX attempt_limits_expires ON attempt_limits (expires_at);

-- Accounts that nobody has confirmed, to be removed some days later.
CREATE INDEX users_unconfirmed ON users (created_at) WHERE email_verified_at IS NULL;
