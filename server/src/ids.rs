//! Identifiers as people and programs see them: a prefix that names the kind, and a UUID v7.
//!
//! `vm_019ab3…` cannot be taken for `op_019ab3…`; passing one where the other is wanted is a 404
//! for callers and a compile error for us.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use uuid::Uuid;

pub trait Kind {
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($name:ident, $kind:ident, $prefix:literal;)*) => {
        $(
            #[derive(Clone, Copy)]
            pub struct $kind;
            impl Kind for $kind {
                const PREFIX: &'static str = $prefix;
            }
            pub type $name = Id<$kind>;
        )*
    };
}

kinds! {
    UserId, User, "usr";
    TenantId, Tenant, "ten";
    InvitationId, Invitation, "inv";
    SshKeyId, SshKey, "key";
    TokenId, Token, "tok";
    PlanId, Plan, "plan";
    ImageId, Image, "img";
    HostId, Host, "host";
    PoolId, Pool, "pool";
    InstanceId, Instance, "vm";
    OperationId, Operation, "op";
    TrialId, Trial, "trial";
    AppealId, Appeal, "apl";
    MailId, Mail, "mail";
    AnnouncementId, Announcement, "ann";
    ImageImportId, ImageImport, "imp";
    ConsoleId, Console, "con";
    InvoiceId, Invoice, "bill";
    CreditNoteId, CreditNote, "note";
    VoucherId, Voucher, "vch";
    PasskeyId, Passkey, "pk";
    PaymentId, Payment, "pay";
    WebhookId, Webhook, "hook";
    MessageId, Message, "msg";
    DeliveryId, Delivery, "dlv";
    BillingSystemId, BillingSystem, "bsys";
    ServiceId, Service, "svc";
}

/// An identifier of one kind of thing.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// A new identifier; identifiers made later sort later.
    pub fn new() -> Self {
        Self(Uuid::now_v7(), PhantomData)
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// Its last eight digits, for reading and typing beside a name that tells most of it; no identifier by itself.
    pub fn short(self) -> String {
        self.0.simple().to_string().split_off(24)
    }

    /// For SQL and for the agents' protocol.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K> Default for Id<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}

/// Identifiers made later sort later.
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> From<Uuid> for Id<K> {
    fn from(uuid: Uuid) -> Self {
        Self::from_uuid(uuid)
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not an identifier of this kind: expected {0}_ and 32 hexadecimal digits")]
pub struct MalformedId(&'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let malformed = MalformedId(K::PREFIX);
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|digits| digits.len() == 32)
            .ok_or(malformed)?;
        Uuid::try_parse(digits).map(Self::from_uuid).map_err(|_| MalformedId(K::PREFIX))
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// In the API's description an identifier is a string.
impl<K> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}
impl<K> utoipa::ToSchema for Id<K> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_of_another_kind_is_refused() {
        let id = InstanceId::new();
        assert_eq!(id.to_string().parse::<InstanceId>().unwrap(), id);
        assert!(id.to_string().parse::<OperationId>().is_err());
        assert!("vm_".parse::<InstanceId>().is_err());
        assert!("vm_zz9ab300000000000000000000000000".parse::<InstanceId>().is_err());
        assert!(id.uuid().to_string().parse::<InstanceId>().is_err());
    }
}
