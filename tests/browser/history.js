// A month of use that nobody waited for, so that graphs have something to show.

/** What is used at a time: `day` and `quick` are waves from 0 to 1. In the units and the order of the columns. */
const FIGURES = {
  cpu_used: "150 + 900 * day * quick",
  cpu_stolen: "4 + 60 * day * (1 - quick)",
  cpu_held_back: "greatest(0, 900 * day * quick - 700)",
  memory_used: "420 + 300 * day",
  memory_lent: "greatest(0, 250 - 500 * day)",
  memory_size: "1024",
  disk_read_bytes: "40000 + 3000000 * quick * day",
  disk_write_bytes: "90000 + 1500000 * day",
  disk_read_operations: "10 + 400 * quick * day",
  disk_write_operations: "20 + 150 * day",
  network_in: "800 + 30000 * day * quick",
  network_out: "400 + 60000 * day",
  network_in_dropped: "greatest(0, 120 * day * quick - 60)",
  network_out_dropped: "greatest(0, 40 * day - 30)",
};

/** Fills the last month of an instance, with a break of some hours and one of some minutes. */
export function inventHistory(platform, instance) {
  const id = instance.replace(/^vm_/, "");
  const names = Object.keys(FIGURES);
  const values = Object.values(FIGURES);
  platform.sql(`
    BEGIN;
    SELECT keep_sample_partitions(step, current_date - days, current_date + 1, current_date - days)
      FROM (VALUES (60, 2), (600, 9), (7200, 62)) AS kept (step, days);
    INSERT INTO instance_samples (step, instance_id, tenant_id, at, seconds, ${names.join(", ")}, ${names.map((name) => `${name}_most`).join(", ")})
    SELECT step, instances.id, tenant_id, at, step, ${values.join(", ")}, ${names.map((name) => (name.startsWith("memory") ? FIGURES[name] : `(${FIGURES[name]}) * 1.3`)).join(", ")}
      FROM instances, (VALUES (60, '1 day 23 hours'::interval), (600, '8 days'), (7200, '31 days')) AS kept (step, back),
        LATERAL (SELECT coalesce((SELECT rolled_until FROM sample_rollups WHERE sample_rollups.step = kept.step), date_trunc('minute', now())) AS until) AS known,
        LATERAL generate_series(date_bin(make_interval(secs => step), now() - back, 'epoch'), until - make_interval(secs => step), make_interval(secs => step)) AS at,
        LATERAL (SELECT 0.5 + 0.5 * sin(extract(epoch FROM at)::float8 / 13751) AS day, 0.5 + 0.5 * sin(extract(epoch FROM at)::float8 / 617 * (step / 60.0) ^ 0.2) AS quick) AS wave
      WHERE instances.id = '${id}'
        AND at NOT BETWEEN now() - interval '24 minutes' AND now() - interval '17 minutes'
        AND at NOT BETWEEN now() - interval '9 hours' AND now() - interval '7 hours'
        AND at NOT BETWEEN now() - interval '5 days' AND now() - interval '4 days'
    ON CONFLICT DO NOTHING;
    COMMIT;`);
}
