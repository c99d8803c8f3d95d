-- What instances used over time: rates made of the counters that agents report, at most one sample a
-- minute, and averages of these over ten minutes and two hours, which are kept longer.

-- The counters at the latest sample: the next one is the difference to them.
ALTER TABLE instance_usage
    ADD COLUMN sampled_at timestamptz,
    ADD COLUMN sampled jsonb;

-- One row an instance and step.  In the units of a policy: thousandths of a core, MiB, bytes, operations
-- and packets a second, kbit/s.  NULL: not known.  `_most` is the highest of the samples that a row was made of, and NULL in the
-- finest step, where it would be the same.
--
-- Without a foreign key, because millions of rows a day would ask for it: what belongs to an instance that
-- is gone cannot be found any more, and goes with its day.
CREATE TABLE instance_samples (
    -- Seconds from one row to the next: 60, 600 or 7200.
    step integer NOT NULL,
    instance_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    -- When the step begins.
    at timestamptz NOT NULL,
    -- For how many seconds the figures are: the weight of the row in an average.
    seconds integer NOT NULL CONSTRAINT instance_samples_seconds CHECK (seconds > 0),
    cpu_used real,
    cpu_stolen real,
    cpu_held_back real,
    memory_used real,
    memory_lent real,
    memory_size real,
    disk_read_bytes real,
    disk_write_bytes real,
    disk_read_operations real,
    disk_write_operations real,
    network_in real,
    network_out real,
    network_in_dropped real,
    network_out_dropped real,
    cpu_used_most real,
    cpu_stolen_most real,
    cpu_held_back_most real,
    memory_used_most real,
    memory_lent_most real,
    memory_size_most real,
    disk_read_bytes_most real,
    disk_write_bytes_most real,
    disk_read_operations_most real,
    disk_write_operations_most real,
    network_in_most real,
    network_out_most real,
    network_in_dropped_most real,
    network_out_dropped_most real,
    CONSTRAINT instance_samples_pkey PRIMARY KEY (instance_id, step, at)
) PARTITION BY LIST (step);
CREATE TABLE instance_samples_60 PARTITION OF instance_samples FOR VALUES IN (60) PARTITION BY RANGE (at);
CREATE TABLE instance_samples_600 PARTITION OF instance_samples FOR VALUES IN (600) PARTITION BY RANGE (at);
CREATE TABLE instance_samples_7200 PARTITION OF instance_samples FOR VALUES IN (7200) PARTITION BY RANGE (at);
-- For the roll-ups, which read some minutes of all instances: rows come in the order of time, so that a few bytes for
-- each stretch of a table are enough.
CREATE INDEX instance_samples_at ON instance_samples USING brin (at) WITH (autosummarize = on);

-- Customers read, through the parent only, where row-level security narrows it to their tenant.
GRANT SELECT ON instance_samples TO jst_tenant;
ALTER TABLE instance_samples ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON instance_samples TO jst_tenant USING (tenant_id = current_tenant());
CREATE POLICY platform ON instance_samples TO jst_platform USING (true) WITH CHECK (true);

-- Up to when the rows of a coarser step are made.
CREATE TABLE sample_rollups (
    step integer PRIMARY KEY,
    rolled_until timestamptz NOT NULL
);
GRANT SELECT ON sample_rollups TO jst_tenant;
INSERT INTO sample_rollups
    SELECT step, date_bin(make_interval(secs => step), now(), 'epoch') FROM unnest(ARRAY[600, 7200]) AS step;

-- Makes the daily partitions of a step from `first` to `last`, and drops those of days before `oldest`.  Says how many
-- of each.  Only the owner of a table may do that, so it runs with the owner's rights, on these tables and nothing else.
--
-- Both need the parent for themselves for an instant.  Who cannot have it at once gives up and comes again with the next
-- pass, because everybody who reads or writes samples would wait behind the waiting.
CREATE FUNCTION keep_sample_partitions(step integer, first date, last date, oldest date, OUT made integer, OUT dropped integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    parent text := 'instance_samples_' || step;
    child text;
    day date;
BEGIN
    IF step NOT IN (60, 600, 7200) OR last - first > 400 THEN
        RAISE EXCEPTION 'no partitions of step % from % to %', step, first, last;
    END IF;
    made := 0;
    dropped := 0;
    -- One at a time: replicas look at the same time.
    PERFORM pg_advisory_xact_lock(hashtextextended('instance_samples', 0));
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    -- Names are compared as texts: the planner may look at those of other tables first, and these hold no date.
    FOR child IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = parent::regclass AND right(relname, 8) < to_char(oldest, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        dropped := dropped + 1;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION keep_sample_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_sample_partitions TO jst_platform;

-- Reports may come before the worker's first pass.
SELECT keep_sample_partitions(step, (now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 1, '-infinity')
    FROM unnest(ARRAY[60, 600, 7200]) AS step;
