-- What an operator decides about the memory and the power of a host.
--
-- Cores that belong to one guest alone, and guaranteed operations of the disk, are booked like everything else
-- that is promised.  No instance has booked any before: no host offered them.

ALTER TABLE hosts
    -- The operator lets the kernel merge equal pages of guests, whoever they belong to.
    ADD COLUMN page_merging boolean NOT NULL DEFAULT false,
    -- jst_policy::power::Saving.
    ADD COLUMN power_saving text NOT NULL DEFAULT 'off'
        CONSTRAINT hosts_power_saving CHECK (power_saving IN ('off', 'governor', 'park')),
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
