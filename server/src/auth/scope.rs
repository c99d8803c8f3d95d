//! Scopes of API tokens: what a token may do at most, beside the role of its owner.

use super::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Read,
    /// Create, change and delete; includes reading.
    Write,
    /// Manage members and invitations; needs writing besides.
    Members,
    /// Administer the platform; needs reading and writing besides.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Members, Self::Admin];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Members => "members",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == text)
    }
}

/// A set of scopes, in the order of [`Scope::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Those that `holds` says yes to.  Writing includes reading.
    fn new(holds: impl Fn(Scope) -> bool) -> Self {
        let reads = |scope| scope == Scope::Read && holds(Scope::Write);
        Self(Scope::ALL.into_iter().filter(|scope| holds(*scope) || reads(*scope)).collect())
    }

    /// Names that are no scope count for nothing.
    pub fn named(names: &[String]) -> Self {
        Self::new(|scope| names.iter().any(|name| name == scope.name()))
    }

    /// The most that a person may give to a token of theirs, and what their own session has.
    pub fn of_person(role: Role, is_admin: bool) -> Self {
        Self::new(|scope| match scope {
            Scope::Read => true,
            Scope::Write => role >= Role::Operator || is_admin,
            Scope::Members => role == Role::Owner,
            Scope::Admin => is_admin,
        })
    }

    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.has(*scope))
    }

    /// What both have.
    pub fn common(&self, other: &Self) -> Self {
        Self(self.0.iter().copied().filter(|scope| other.has(*scope)).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|scope| scope.name().to_owned()).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gives_a_token_more_than_their_role() {
        let viewer = Scopes::of_person(Role::Viewer, false);
        let operator = Scopes::of_person(Role::Operator, false);
        let owner = Scopes::of_person(Role::Owner, false);
        assert_eq!(viewer.names(), ["read"]);
        assert_eq!(operator.names(), ["read", "write"]);
        assert_eq!(owner.names(), ["read", "write", "members"]);
        assert!(owner.contains(&operator) && operator.contains(&viewer) && !viewer.contains(&operator));
        assert!(!owner.has(Scope::Admin) && Scopes::of_person(Role::Owner, true).has(Scope::Admin));
    }

    #[test]
    fn writing_includes_reading() {
        let scopes = Scopes::named(&["write".to_owned(), "root".to_owned()]);
        assert_eq!(scopes.names(), ["read", "write"]);
        // The token of an operator who became a viewer still reads.
        assert_eq!(scopes.common(&Scopes::of_person(Role::Viewer, false)).names(), ["read"]);
    }
}
