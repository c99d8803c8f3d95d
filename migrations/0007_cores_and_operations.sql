-- Cores that belong to one guest alone, and guaranteed operations of the disk, are booked like everything else
-- that is promised.  No instance has booked any before: no host offered them.

ALTER TABLE hosts
    -- What the operator says that the storage carries; 0 where it is not known.
    ADD COLUMN capacity_disk_iops bigint NOT NULL DEFAULT 0,
    ADD COLUMN booked_dedicated_cores bigint NOT NULL DEFAULT 0
        CONSTRAINT hosts_booked_dedicated_cores CHECK (booked_dedicated_cores >= 0),
    ADD COLUMN booked_disk_iops bigint NOT NULL DEFAULT 0
        CONSTRAINT hosts_booked_disk_iops CHECK (booked_disk_iops >= 0);

ALTER TABLE bookings
    ADD COLUMN dedicated_cores bigint NOT NULL DEFAULT 0,
    ADD COLUMN disk_iops bigint NOT NULL DEFAULT 0;

GRANT UPDATE (booked_dedicated_cores, booked_disk_iops) ON hosts TO jst_tenant;
