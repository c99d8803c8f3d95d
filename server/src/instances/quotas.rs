//! How much a tenant may hold altogether, and that an account that owes something or is disputed adds nothing to it.
//!
//! Counted over bookings, so that what is in its grace period still counts and what failed does not.
//! The tenant's row is locked first: two requests cannot both fit into the same rest.

use super::db::bookings::{self, Holdings};
use super::db::catalogue::{self, TenantRow};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::TenantId;
use jst_policy::admission::Booking;

/// Checks that a booking that goes from `old` to `new` (nothing: a new instance) keeps within the quotas.
pub async fn check(
    tx: &mut Tx,
    tenant: TenantId,
    quotas: &TenantRow,
    old: Option<&Booking>,
    new: &Booking,
) -> Result<()> {
    let held = bookings::holdings(tx, tenant).await?;
    fits(&held, quotas, old, new)
}

/// Why a customer may not order: they buy at a billing system, or the account was never opened.
pub async fn may_not_buy(tx: &mut Tx, tenant: TenantId) -> Result<Error> {
    Ok(match catalogue::seller(tx, tenant).await? {
        Some(seller) => Error::refused("orders-elsewhere").with("seller", seller),
        None => Error::refused("may-not-buy"),
    })
}

fn fits(held: &Holdings, quotas: &TenantRow, old: Option<&Booking>, new: &Booking) -> Result<()> {
    let none = Booking::default();
    let before = old.unwrap_or(&none);
    let column = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX / 4);
    let instances = i64::from(old.is_none());
    let rows = [
        ("quota-instances", held.instances, 0, instances, quotas.quota_instances),
        ("quota-vcpus", held.vcpus, i64::from(before.vcpus), i64::from(new.vcpus), quotas.quota_vcpus),
        (
            "quota-memory",
            held.memory_mib,
            column(before.memory_size.get()),
            column(new.memory_size.get()),
            quotas.quota_memory_mib,
        ),
        (
            "quota-disk",
            held.disk_mib,
            column(before.disk.get()),
            column(new.disk.get()),
            quotas.quota_disk_mib,
        ),
    ];
    for (code, held, before, after, quota) in rows {
        // An account that owes something, or is above a quota that was lowered, may still shrink.
        if after > before && quotas.overdue {
            return Err(Error::refused("account-overdue"));
        }
        if after > before && quotas.disputed {
            return Err(Error::refused("account-disputed"));
        }
        if after > before && held - before + after > quota {
            let shown = |amount: i64| match code {
                "quota-memory" | "quota-disk" => crate::web::format::mib(amount.max(0).unsigned_abs()),
                _ => amount.to_string(),
            };
            return Err(Error::refused(code)
                .with("quota", shown(quota))
                .with("used", shown(held))
                .with("wanted", shown(after - before)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jst_policy::units::MiB;

    fn quotas() -> TenantRow {
        TenantRow {
            may_buy: true,
            suspended: false,
            overdue: false,
            disputed: false,
            quota_instances: 2,
            quota_vcpus: 4,
            quota_memory_mib: 4096,
            quota_disk_mib: 40_960,
        }
    }

    fn booking(vcpus: u32, memory: u64) -> Booking {
        Booking { vcpus, memory_size: MiB(memory), disk: MiB(10_240), ..Booking::default() }
    }

    fn code(result: Result<()>) -> &'static str {
        result.err().map_or("", |error| error.code())
    }

    #[test]
    fn each_quota_refuses_by_itself() {
        let held = Holdings { instances: 1, vcpus: 2, memory_mib: 2048, disk_mib: 10_240 };
        assert_eq!(code(fits(&held, &quotas(), None, &booking(2, 2048))), "");
        assert_eq!(code(fits(&held, &quotas(), None, &booking(3, 2048))), "quota-vcpus");
        assert_eq!(code(fits(&held, &quotas(), None, &booking(2, 2049))), "quota-memory");
        let full = Holdings { instances: 2, ..held };
        assert_eq!(code(fits(&full, &quotas(), None, &booking(1, 64))), "quota-instances");
    }

    #[test]
    fn a_resize_counts_the_difference_and_may_always_shrink() {
        let held = Holdings { instances: 2, vcpus: 6, memory_mib: 8192, disk_mib: 10_240 };
        let old = booking(4, 4096);
        assert_eq!(code(fits(&held, &quotas(), Some(&old), &booking(2, 1024))), "");
        assert_eq!(code(fits(&held, &quotas(), Some(&old), &booking(5, 1024))), "quota-vcpus");
    }

    #[test]
    fn who_owes_something_may_shrink_and_not_grow() {
        let held = Holdings { instances: 1, vcpus: 1, memory_mib: 1024, disk_mib: 10_240 };
        let owes = TenantRow { overdue: true, ..quotas() };
        let old = booking(1, 1024);
        assert_eq!(code(fits(&held, &owes, None, &old)), "account-overdue");
        assert_eq!(code(fits(&held, &owes, Some(&old), &booking(1, 1025))), "account-overdue");
        assert_eq!(code(fits(&held, &owes, Some(&old), &booking(1, 512))), "");
        let disputed = TenantRow { disputed: true, ..quotas() };
        assert_eq!(code(fits(&held, &disputed, None, &old)), "account-disputed");
        assert_eq!(code(fits(&held, &disputed, Some(&old), &booking(1, 512))), "");
    }
}
