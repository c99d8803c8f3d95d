//! What the platform sells: a resource policy, a price, and who may have it.
//!
//! A plan is changed in place and its `version` grows; an instance keeps the policy of the version
//! it was moved to, so that an edit here never changes what somebody has already bought.  A retired
//! plan stays for the instances that have it and is offered to nobody.

pub mod api;
pub mod db;
pub mod edit;
pub mod schema;

use crate::ids::PlanId;
use jst_policy::instance::ResourcePolicy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: PlanId,
    pub slug: String,
    /// Grows with every change.
    pub version: i32,
    pub name_en: String,
    pub name_zh: String,
    pub policy: ResourcePolicy,
    /// Minor units (cent) a calendar month.
    pub price_monthly_usd: i64,
    /// Minor units (fen) a calendar month.
    pub price_monthly_cny: i64,
    /// Millionths of a dollar an hour.
    pub price_hourly_usd_micro: i64,
    /// Millionths of a yuan an hour.
    pub price_hourly_cny_micro: i64,
    /// Given away once to each verified person, for a limited time.
    pub trial: bool,
    /// Offered to everybody; other plans are assigned by administrators.
    pub public: bool,
    pub restart_on_crash: bool,
    pub sort_order: i32,
    pub retired: bool,
}

impl Plan {
    /// There is it only as a trial: nobody shall have for nothing, and for ever, what is given away once.
    pub const fn trial_only(&self) -> bool {
        self.trial && self.price_monthly_usd == 0 && self.price_monthly_cny == 0
    }

    /// The name in the reader's language.
    pub fn name(&self, language: crate::web::language::Language) -> &str {
        match language {
            crate::web::language::Language::English => &self.name_en,
            crate::web::language::Language::Chinese => &self.name_zh,
        }
    }
}
