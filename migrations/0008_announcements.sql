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
