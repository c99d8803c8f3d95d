//! The one rule for everything that makes a credential: what is made is at most what makes it, in scope, role, team and life.
//!
//! The team needs no check here: every credential is made for the team of the actor, or, by an administrator, for the platform.

use super::{Actor, Role, Scope, Scopes};
use crate::error::{Error, Result};
use time::OffsetDateTime;

/// What may be made.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// An API token of one's own.
    ApiToken(&'a Scopes),
    /// A token of one of the operator's billing systems.
    BillingToken,
    /// An invitation with this role, or this role for a member.
    Membership(Role),
    /// A ticket for the console of an instance.
    Console,
    /// An endpoint that is told what happens in the team, with its secret.
    Webhook,
    /// The same, for the operator's.
    OperatorWebhook,
    /// Any console, as an administrator.
    AnyConsole,
    /// What makes a machine a host.
    JoinToken,
    /// A public key that new instances let in.
    SshKey,
}

/// Fails unless the actor may make this.  Gives until when it may work at most; none for a person, who has no end.
pub fn check(actor: &Actor, made: Credential<'_>) -> Result<Option<OffsetDateTime>> {
    match made {
        Credential::ApiToken(scopes) => {
            in_person(actor)?;
            actor.may_see()?;
            if !actor.scopes.contains(scopes) {
                return Err(Error::invalid("scopes", "scopes"));
            }
        }
        Credential::BillingToken => {
            in_person(actor)?;
            scope(actor, Scope::Admin)?;
        }
        Credential::Membership(role) => {
            actor.in_person()?;
            manage_members(actor)?;
            if role > highest_role(actor) {
                return Err(Error::refused("role-above-own"));
            }
        }
        Credential::Console | Credential::SshKey => {
            actor.may_operate()?;
            scope(actor, Scope::Write)?;
        }
        Credential::Webhook => {
            actor.in_person()?;
            actor.may_own()?;
            scope(actor, Scope::Write)?;
        }
        Credential::OperatorWebhook | Credential::AnyConsole | Credential::JoinToken => {
            scope(actor, Scope::Write)?;
            scope(actor, Scope::Admin)?;
        }
    }
    Ok(actor.expires_at)
}

/// Fails unless the actor may manage members and invitations at all.
pub fn manage_members(actor: &Actor) -> Result<()> {
    actor.may_own()?;
    if actor.scopes.has(Scope::Members) { Ok(()) } else { Err(Error::refused("scope-members")) }
}

/// The highest role that the actor gives and takes.  An owner makes any token, so that no token may make an owner.
pub fn highest_role(actor: &Actor) -> Role {
    match actor.token {
        Some(_) => actor.role.min(Role::Operator),
        None => actor.role,
    }
}

fn in_person(actor: &Actor) -> Result<()> {
    if actor.token.is_some() { Err(Error::refused("token-makes-token")) } else { actor.in_person() }
}

fn scope(actor: &Actor, scope: Scope) -> Result<()> {
    if actor.scopes.has(scope) { Ok(()) } else { Err(Error::Forbidden) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BillingSystemId, TenantId, TokenId, UserId};

    fn actor(role: Role, is_admin: bool, token: Option<&Scopes>) -> Actor {
        let most = Scopes::of_person(role, is_admin);
        let scopes = token.map_or(most.clone(), |scopes| scopes.common(&most));
        Actor {
            user_id: UserId::new(),
            email: "lin@example.com".to_owned(),
            email_verified: true,
            locale: "en".to_owned(),
            is_admin: is_admin && scopes.has(Scope::Admin),
            tenant_id: TenantId::new(),
            tenant_name: "lin".to_owned(),
            role,
            suspended: false,
            acting: false,
            bound_to: None,
            token: token.map(|_| TokenId::new()),
            scopes,
            expires_at: token.map(|_| OffsetDateTime::UNIX_EPOCH),
            ip: None,
            request_id: None,
            idempotency_key: None,
        }
    }

    const ROLES: [Role; 3] = [Role::Viewer, Role::Operator, Role::Owner];

    /// Every subset of the scopes.
    fn scope_sets() -> Vec<Scopes> {
        (0..1 << Scope::ALL.len())
            .map(|bits: u32| {
                let chosen = Scope::ALL.into_iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
                Scopes::named(&chosen.map(|(_, scope)| scope.name().to_owned()).collect::<Vec<_>>())
            })
            .collect()
    }

    /// Everybody who can ask: each role, administrator or not, in person and by a token of every set of scopes.
    fn actors() -> Vec<Actor> {
        let sets = scope_sets();
        let mut all = Vec::new();
        for role in ROLES {
            for is_admin in [false, true] {
                all.push(actor(role, is_admin, None));
                all.extend(sets.iter().map(|scopes| actor(role, is_admin, Some(scopes))));
            }
        }
        all
    }

    #[test]
    fn no_credential_makes_a_wider_or_longer_lived_one() {
        let sets = scope_sets();
        let (mut made, mut refused) = (0, 0);
        for actor in actors() {
            let mut note = |allowed: bool| if allowed { made += 1 } else { refused += 1 };
            for scopes in &sets {
                let result = check(&actor, Credential::ApiToken(scopes));
                note(result.is_ok());
                // No token makes a token, and nobody one with more than they have.
                assert!(
                    result.is_err() || actor.token.is_none() && actor.scopes.contains(scopes),
                    "{actor:?}"
                );
            }
            for role in ROLES {
                let result = check(&actor, Credential::Membership(role));
                note(result.is_ok());
                let may = actor.scopes.has(Scope::Members) && actor.role == Role::Owner;
                let below = actor.token.is_none() || role < Role::Owner;
                assert_eq!(result.is_ok(), may && below, "{role:?} by {actor:?}");
            }
            let others: [(Credential<'_>, &[Scope], Role); 7] = [
                (Credential::BillingToken, &[Scope::Admin], Role::Viewer),
                (Credential::Console, &[Scope::Write], Role::Operator),
                (Credential::SshKey, &[Scope::Write], Role::Operator),
                (Credential::Webhook, &[Scope::Write], Role::Owner),
                (Credential::OperatorWebhook, &[Scope::Write, Scope::Admin], Role::Viewer),
                (Credential::AnyConsole, &[Scope::Write, Scope::Admin], Role::Viewer),
                (Credential::JoinToken, &[Scope::Write, Scope::Admin], Role::Viewer),
            ];
            for (credential, scopes, role) in others {
                let result = check(&actor, credential);
                note(result.is_ok());
                let person = !matches!(credential, Credential::BillingToken) || actor.token.is_none();
                let may = person && actor.role >= role && scopes.iter().all(|scope| actor.scopes.has(*scope));
                assert_eq!(result.is_ok(), may, "{credential:?} by {actor:?}");
                // Whatever a token makes ends with it at the latest.
                if let Ok(until) = result {
                    assert_eq!(until, actor.expires_at);
                }
            }
        }
        assert!(made > 100 && refused > 100, "{made} {refused}");
    }

    #[test]
    fn whoever_is_suspended_or_acts_for_somebody_or_came_by_a_link_makes_none() {
        let read = Scopes::named(&["read".to_owned()]);
        let suspended = Actor { suspended: true, ..actor(Role::Owner, false, None) };
        let acting = Actor { acting: true, ..actor(Role::Operator, true, None) };
        let bound = Actor { bound_to: Some(BillingSystemId::new()), ..actor(Role::Owner, false, None) };
        assert!(check(&bound, Credential::Webhook).is_err());
        for actor in [suspended, acting, bound] {
            assert!(check(&actor, Credential::ApiToken(&read)).is_err());
            assert!(check(&actor, Credential::Membership(Role::Viewer)).is_err());
        }
    }
}
