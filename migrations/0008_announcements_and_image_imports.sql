-- What the operator tells everybody: notices, planned maintenance and incidents.  The newest that is on stands above
-- every page, and all of them are on the status page.

CREATE TABLE announcements (
    id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT announcements_kind CHECK (kind IN ('notice', 'maintenance', 'incident')),
    title_en text NOT NULL,
    title_zh text NOT NULL,
    text_en text NOT NULL,
    text_zh text NOT NULL,
    starts_at timestamptz NOT NULL,
    -- Absent: until somebody ends it.
    ends_at timestamptz,
    -- Above every page, and not only on the status page.
    banner boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT announcements_times CHECK (ends_at > starts_at)
);

CREATE INDEX announcements_by_time ON announcements (starts_at DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON announcements TO jst_platform;

-- Images that the server fetches from elsewhere.  A replica leases one at a time; a lease that has run out is another's.
CREATE TABLE image_imports (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    -- What the content must have, where the operator knows it: lower-case hexadecimal.
    sha256 text CONSTRAINT image_imports_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    -- images::register::ImageInput.
    image jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CONSTRAINT image_imports_state CHECK (state IN ('waiting', 'running', 'succeeded', 'failed')),
    received_bytes bigint NOT NULL DEFAULT 0,
    -- Absent where the other side does not say.
    total_bytes bigint,
    -- The key of the message that says why, and its arguments.
    failure jsonb,
    -- Who asked, as the log of events names them.
    actor_kind text NOT NULL,
    actor_id uuid,
    actor_label text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON image_imports TO jst_platform;
