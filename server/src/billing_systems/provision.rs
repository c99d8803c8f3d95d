//! An order: the customer's account, the service, the instance.
//!
//! Each step is found again by whoever repeats the order: the owner by the system's reference, the service by its own, and
//! the instance by the id that the service has chosen for it.  So an order that is cut off anywhere is ended by the next.

use super::decisions::{Outcome, check_version, record};
use super::order::{Entitlement, InForce};
use super::{Service, actor, db, find};
use crate::accounts::db::users::{self, NewPassword};
use crate::accounts::{self, EmailAddress, email, ssh_keys};
use crate::auth::billing_system::BillingSystem;
use crate::auth::{Actor, password};
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::ids::{InstanceId, ServiceId, TenantId, UserId};
use crate::instances::create::{self, NewInstance};
use crate::instances::hostname::{self, Hostname};
use crate::name::Name;
use crate::plans::Plan;
use crate::secrets::random_token;
use crate::state::App;
use crate::typed;
use crate::web::language::Language;
use serde_json::json;

const MAX_REFERENCE: usize = 255;

/// What is ordered, as it was sent.
#[derive(Clone, Debug)]
pub struct Order {
    pub owner: Owner,
    /// Slug or id, as the image.
    pub plan: String,
    pub image: String,
    /// With its domain or without; made from the reference when empty.
    pub hostname: String,
    pub ssh_keys: Vec<String>,
    pub entitlement_version: i64,
}

#[derive(Clone, Debug)]
pub struct Owner {
    /// The system's own name for its customer; the mail address when empty.
    pub reference: String,
    pub email: String,
    pub name: String,
    pub locale: String,
}

/// The same, found to be right.
struct Checked {
    owner: Owner,
    address: EmailAddress,
    plan: Plan,
    image: String,
    name: String,
    hostname: String,
    ssh_keys: Vec<String>,
    version: i64,
}

pub enum Put {
    /// There, or on its way.
    There(Box<Outcome>),
    /// It could be made, and nothing was.
    Possible,
}

pub async fn put(
    app: &App,
    caller: &BillingSystem,
    reference: &str,
    order: Order,
    dry_run: bool,
) -> Result<Put> {
    check_reference("external_ref", reference)?;
    let order = check(app, reference, order).await?;
    let found = db::newest(app.db.platform(), caller.id, reference).await?;
    let unfinished = match found {
        Some(service) if service.in_force.entitlement == Entitlement::Terminated => {
            // An order from before the termination, which comes late, does not bring anything back.
            if order.version <= service.in_force.version {
                return Ok(there(service));
            }
            None
        }
        Some(service) => match &service.made {
            Some(made) if made.plan != order.plan.slug => return Err(Error::conflict("use-change-plan")),
            Some(_) => return Ok(there(service)),
            None => Some(service),
        },
        None => None,
    };
    // Whoever it will belong to, it must be possible; so that what is not leaves nothing behind.
    let nobody = actor(caller, TenantId::new(), UserId::new());
    create::rehearse(app, &nobody, new_instance(&order, InstanceId::new(), Vec::new()))
        .await
        .map_err(at_hostname)?;
    if dry_run {
        return Ok(Put::Possible);
    }
    let service = match unfinished {
        Some(service) => service,
        None => match open(app, caller, reference, &order).await? {
            Some(service) => service,
            // The same order at the same moment was faster.
            None => return Ok(there(find(app, caller, reference).await?)),
        },
    };
    make(app, caller, service, &order).await
}

fn there(service: Service) -> Put {
    Put::There(Box::new(Outcome { service, operation: None }))
}

/// The instance of a service that has none yet.
async fn make(app: &App, caller: &BillingSystem, service: Service, order: &Checked) -> Result<Put> {
    let actor = actor(caller, service.tenant, service.user);
    let made = instance(app, &actor, &service, order).await;
    let operation = match made {
        Ok(operation) => Some(operation),
        // Somebody else who repeats the order was faster.
        Err(Error::Internal(error)) if is_there(&error) => None,
        Err(error) => {
            db::forget(app.db.platform(), service.id).await?;
            return Err(at_hostname(error));
        }
    };
    let service = find(app, caller, &service.external_ref).await?;
    Ok(Put::There(Box::new(Outcome { service, operation })))
}

async fn instance(
    app: &App,
    actor: &Actor,
    service: &Service,
    order: &Checked,
) -> Result<crate::instances::Operation> {
    let mut keys = Vec::new();
    for key in &order.ssh_keys {
        keys.push(ssh_keys::ensure(app, actor, key).await?.to_string());
    }
    let new = new_instance(order, service.instance, keys);
    match create::create(app, actor, new.clone()).await {
        // Two services of one customer may have one host name; names are told apart.
        Err(Error::Invalid(fields)) if fields.iter().any(|field| field.code == "name-taken") => {
            let name = format!("{} {}", service.external_ref, new.name);
            let name = Name::made_from(&name, create::MAX_NAME, "vps").into_string();
            create::create(app, actor, NewInstance { name, ..new }).await
        }
        result => result,
    }
}

fn is_there(error: &anyhow::Error) -> bool {
    error.downcast_ref::<sqlx::Error>().and_then(violated_constraint) == Some("instances_pkey")
}

fn new_instance(order: &Checked, id: InstanceId, ssh_keys: Vec<String>) -> NewInstance {
    NewInstance {
        plan: order.plan.id.to_string(),
        image: order.image.clone(),
        name: order.name.clone(),
        hostname: order.hostname.clone(),
        ssh_keys,
        user_data: String::new(),
        trial: Some(false),
        sold: Some(id),
    }
}

/// The owner and the service in one transaction; None where the reference was taken at this moment.
async fn open(
    app: &App,
    caller: &BillingSystem,
    reference: &str,
    order: &Checked,
) -> Result<Option<Service>> {
    let unusable = password::hash(random_token()).await?;
    let mut tx = app.db.begin_platform().await?;
    // Orders of one system follow each other here, so that a customer comes into being once.
    db::systems::lock(&mut tx, caller.id).await?;
    let owner = match db::owner(&mut tx, caller.id, &order.owner.reference).await? {
        Some(owner) => owner,
        None => make_owner(&mut tx, caller, order, &unusable).await?,
    };
    let (id, instance) = (ServiceId::new(), InstanceId::new());
    let in_force = InForce { version: order.version, entitlement: Entitlement::Active };
    let new = db::NewService { id, system: caller.id, external_ref: reference, owner, instance, in_force };
    match db::insert(&mut tx, &new).await {
        Err(error) if violated_constraint(&error) == Some("billing_services_ref_key") => return Ok(None),
        result => result?,
    }
    let service = db::newest(&mut *tx, caller.id, reference).await?.ok_or(Error::NotFound)?;
    let data = json!({ "plan": order.plan.slug, "system": caller.name });
    record(&mut tx, &caller.source(), &service, "service.ordered", data).await?;
    tx.commit().await?;
    Ok(Some(service))
}

/// Who a system's customer is here.  An account that is somebody's already keeps its password, and the system never signs
/// in to it; one that nobody has confirmed may have been made by anybody, so that its password goes.
async fn make_owner(
    tx: &mut Tx,
    caller: &BillingSystem,
    order: &Checked,
    unusable: &str,
) -> Result<db::Owner> {
    let owner = &order.owner;
    let fresh = UserId::new();
    let made =
        users::insert(tx, fresh, &order.address, NewPassword::Unusable(unusable), &owner.locale).await?;
    let (user, made_here) = if made {
        (fresh, true)
    } else {
        let user = users::by_email(&mut **tx, &order.address).await?.ok_or(Error::NotFound)?;
        if user.disabled {
            return Err(Error::conflict("owner-disabled"));
        }
        let nobodys = !user.verified && !db::is_owner(tx, user.id).await?;
        if nobodys {
            users::void_password(tx, user.id, unusable).await?;
        }
        (user.id, nobodys)
    };
    let tenant = TenantId::new();
    users::insert_tenant(tx, tenant, &owner.name, user).await?;
    let made = db::Owner { tenant, user, made_here };
    db::insert_owner(tx, caller.id, &owner.reference, &made).await?;
    Ok(made)
}

/// Everything that can be said about the order alone, all at once.
async fn check(app: &App, reference: &str, order: Order) -> Result<Checked> {
    check_version(order.entitlement_version)?;
    let mut errors = Vec::new();
    let address = email::parse("owner.email", &order.owner.email).map_err(|error| errors.push(error));
    let name = match order.owner.name.trim() {
        "" => accounts::tenant_name(&order.owner.email),
        name => name.to_owned(),
    };
    let name = accounts::name("owner.name", &name).map_err(|error| errors.push(error));
    let locale = match order.owner.locale.trim() {
        "" => Some(Language::English),
        locale => Language::from_code(locale),
    };
    if locale.is_none() {
        errors.push(FieldError::new("owner.locale", "choice"));
    }
    let owner_reference = match order.owner.reference.trim() {
        "" => address.as_deref().unwrap_or_default().to_owned(),
        text => text.to_owned(),
    };
    if let Err(Error::Invalid(wrong)) = check_reference("owner.reference", &owner_reference)
        && !order.owner.reference.trim().is_empty()
    {
        errors.extend(wrong);
    }
    let plan = create::any_plan(app, &order.plan).await?;
    if plan.is_none() {
        errors
            .push(FieldError::new("plan", if order.plan.trim().is_empty() { "required" } else { "choice" }));
    }
    if order.ssh_keys.len() > create::MAX_SSH_KEYS {
        errors.push(FieldError::new("ssh_keys", "ssh-keys-too-many").with("max", create::MAX_SSH_KEYS));
    }
    for (index, key) in order.ssh_keys.iter().enumerate().take(create::MAX_SSH_KEYS) {
        if let Err(error) = ssh_keys::parse(key) {
            errors.push(FieldError { field: format!("ssh_keys.{index}"), ..error });
        }
    }
    let named = host_names(reference, &order.hostname).map_err(|error| errors.push(error));
    match (address, name, locale, plan, named) {
        (Ok(address), Ok(name), Some(locale), Some(plan), Ok((name_of, hostname))) if errors.is_empty() => {
            let locale = locale.code().to_owned();
            let owner = Owner { reference: owner_reference, email: address.to_string(), name, locale };
            let (image, ssh_keys, version) = (order.image, order.ssh_keys, order.entitlement_version);
            Ok(Checked { owner, address, plan, image, name: name_of, hostname, ssh_keys, version })
        }
        _ => Err(Error::Invalid(errors)),
    }
}

/// The instance's name, and its host name with the domain: billing systems have both in one field.  The whole is checked
/// here, because the name shows only as much of a domain as a name may have.
fn host_names(reference: &str, text: &str) -> Result<(String, String), FieldError> {
    let named = |text: &str| Name::made_from(text, create::MAX_NAME, "vps").into_string();
    let text = typed::plain(text);
    if text.is_empty() {
        return Ok((named(&format!("vps-{reference}")), String::new()));
    }
    let hostname = Hostname::parse("hostname", &text)?;
    Ok((named(text.trim_end_matches('.')), hostname::full(&hostname.label, hostname.domain.as_deref())))
}

/// What is wrong with the name is wrong with the host name that it was made of.
fn at_hostname(error: Error) -> Error {
    match error {
        Error::Invalid(fields) => Error::Invalid(
            fields
                .into_iter()
                .map(|field| match field.field.as_str() {
                    "name" => FieldError { field: "hostname".to_owned(), ..field },
                    _ => field,
                })
                .collect(),
        ),
        error => error,
    }
}

/// A reference stands in addresses and logs: visible characters of ASCII that mean nothing there.
fn check_reference(field: &str, text: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+-".contains(&byte);
    if text.is_empty() || text.len() > MAX_REFERENCE || !text.bytes().all(plain) {
        return Err(Error::Invalid(vec![FieldError::new(field, "reference").with("max", MAX_REFERENCE)]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_taken_from_domains() {
        let names = |text| host_names("42", text).unwrap();
        let pair = |name: &str, hostname: &str| (name.to_owned(), hostname.to_owned());
        assert_eq!(names("web.example.com."), pair("web.example.com", "web.example.com"));
        assert_eq!(names("web"), pair("web", "web"));
        assert_eq!(names("例子.中国"), pair("例子.中国", "xn--fsqu00a.xn--fiqs8s"));
        assert_eq!(names(" "), pair("vps-42", ""));
        // A domain may be longer than a name.
        let long = format!("{}.example.com", "a".repeat(63));
        assert_eq!(names(&long), pair(&"a".repeat(63), &long));
        for wrong in ["web.exa_mple.com", "web.-a.com", "a..b", &format!("web.{}.com", "a".repeat(64))] {
            assert_eq!(host_names("42", wrong).unwrap_err().field, "hostname", "{wrong}");
        }
    }

    #[test]
    fn references_are_plain() {
        for good in ["42", "whmcs-42", "a.b:c@d+e_f"] {
            assert!(check_reference("external_ref", good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "é", "a\n", "..%2f", "a?b", &"x".repeat(256)] {
            assert!(check_reference("external_ref", bad).is_err(), "{bad:?}");
        }
    }
}
