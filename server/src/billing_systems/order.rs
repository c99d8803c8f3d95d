//! Which of two decisions is in force: a rule that no order of arrival can change.
//!
//! Each message says all that a service may do, and not what changes; so one number decides.  The highest wins, and of two
//! with one number the milder, because nothing is lost by it.  That makes taking a message commutative, associative and
//! idempotent: any order and any repetition of the same messages end in the same state.

/// What a service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// Kept for the grace period, then removed.
    Terminated,
    /// Stopped and locked.
    Suspended,
    // The mildest stands last: the order is what decides between equal numbers.
    Active,
}

impl Entitlement {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::Suspended => "suspended",
            Self::Active => "active",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Terminated, Self::Suspended, Self::Active].into_iter().find(|one| one.name() == name)
    }
}

/// What a billing system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Suspend,
    Unsuspend,
    /// Paid: what was suspended for want of it goes on, whether or not somebody says so as well.
    Renew,
    Terminate,
    UndoTerminate,
}

impl Message {
    pub const fn asks_for(self) -> Entitlement {
        match self {
            Self::Suspend => Entitlement::Suspended,
            Self::Unsuspend | Self::Renew | Self::UndoTerminate => Entitlement::Active,
            Self::Terminate => Entitlement::Terminated,
        }
    }

    pub const fn event(self) -> &'static str {
        match self {
            Self::Suspend => "service.suspended",
            Self::Unsuspend => "service.released",
            Self::Renew => "service.renewed",
            Self::Terminate => "service.terminated",
            Self::UndoTerminate => "service.restored",
        }
    }
}

/// The decision that counts.  Fields in the order in which two are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InForce {
    pub version: i64,
    pub entitlement: Entitlement,
}

impl InForce {
    /// After a message with this number: itself where the message is old.
    pub fn after(self, version: i64, message: Message) -> Self {
        self.max(Self { version, entitlement: message.asks_for() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGES: [Message; 5] =
        [Message::Suspend, Message::Unsuspend, Message::Renew, Message::Terminate, Message::UndoTerminate];
    const ORDERED: InForce = InForce { version: 1, entitlement: Entitlement::Active };

    fn take(messages: &[(i64, Message)]) -> InForce {
        messages.iter().fold(ORDERED, |state, (version, message)| state.after(*version, *message))
    }

    fn messages() -> impl Strategy<Value = Vec<(i64, Message)>> {
        prop::collection::vec((1..600i64, prop::sample::select(&MESSAGES[..])), 1..1000)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_end_alike(
            (sent, arrived) in messages().prop_flat_map(|sent| {
                // Everything arrives at least once, much of it more often, in any order.
                let again = prop::sample::subsequence(sent.clone(), 0..=sent.len());
                (Just(sent.clone()), again).prop_flat_map(|(sent, again)| {
                    let all = [sent.clone(), again].concat();
                    (Just(sent), Just(all).prop_shuffle())
                })
            })
        ) {
            prop_assert_eq!(take(&sent), take(&arrived));
            let newest = sent.iter().map(|(version, _)| *version).max().unwrap_or(0);
            prop_assert_eq!(take(&arrived).version, newest.max(1));
        }
    }

    #[test]
    fn an_old_message_changes_nothing() {
        let released = ORDERED.after(6, Message::Unsuspend);
        assert_eq!(released.after(5, Message::Suspend), released);
        assert_eq!(released.after(5, Message::Terminate), released);
        // Of two with one number nothing is lost by the milder.
        assert_eq!(released.after(6, Message::Terminate), released);
        assert_eq!(released.after(7, Message::Terminate).entitlement, Entitlement::Terminated);
        for entitlement in [Entitlement::Active, Entitlement::Suspended, Entitlement::Terminated] {
            assert_eq!(Entitlement::parse(entitlement.name()), Some(entitlement));
        }
    }
}
