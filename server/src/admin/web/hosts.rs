//! Hosts: the fleet, one host, and how a machine joins.

use super::division::{self, Doing, Samples, Sold, Stack};
use super::form::{Sent, field_errors, switch, unprocessable};
use super::{Bar, percent, policy_form, set_aside, state_kind, word};
use crate::admin::db::instances::{self, InstanceRow};
use crate::auth::Admin;
use crate::error::{Error, FieldError, Result};
use crate::hosts::db::{self, Certificate};
use crate::hosts::edit::{self, HostChange};
use crate::hosts::{Host, HostState, enrol};
use crate::ids::HostId;
use crate::instances::db::samples;
use crate::set_aside::Filter;
use crate::state::App;
use crate::typed;
use crate::web::page::Page;
use crate::web::{flash, format};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jst_policy::power::Saving;
use jst_protocol::report::{HostLoad, Qualification};
use time::OffsetDateTime;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/hosts", get(list))
        .route("/admin/hosts/enrol", get(enrol_form).post(enrol_host))
        .route("/admin/hosts/{id}", get(show).post(change))
        .route("/admin/hosts/{id}/state", post(set_state))
        .route("/admin/hosts/{id}/revoke", post(revoke))
}

struct Row {
    host: Host,
    qualification: String,
    qualification_kind: &'static str,
    state: String,
    state_kind: &'static str,
    cpu: (f64, f64),
    cpu_text: String,
    memory: (f64, f64),
    memory_text: String,
    disk_text: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/hosts.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
}

impl Row {
    fn new(page: &Page, host: Host) -> Self {
        let load = host.load.unwrap_or_default();
        let capacity = host.capacity;
        let (state, state_kind) = state_of(page, &host);
        Self {
            qualification: word(page, "qualification", &host.qualification),
            qualification_kind: state_kind_of_qualification(&host.qualification),
            state,
            state_kind,
            cpu: (
                percent(host.booked.cpu_reservation.get(), capacity.cpu.get()),
                percent(load.cpu_used_millicpu, capacity.cpu.get()),
            ),
            cpu_text: page.t2(
                "admin-of",
                "part",
                format::cores(host.booked.cpu_reservation.get()),
                "whole",
                format::cores(capacity.cpu.get()),
            ),
            memory: (
                percent(host.booked.memory_reservation.get(), capacity.memory.get()),
                percent(load.memory_used_mib, capacity.memory.get()),
            ),
            memory_text: page.t2(
                "admin-of",
                "part",
                format::mib(host.booked.memory_reservation.get()),
                "whole",
                format::mib(capacity.memory.get()),
            ),
            disk_text: page.t2(
                "admin-of",
                "part",
                format::mib(host.booked.disk.get()),
                "whole",
                format::mib(capacity.disk.get()),
            ),
            host,
        }
    }
}

fn state_kind_of_qualification(code: &str) -> &'static str {
    match code {
        "pending" => "working",
        other => state_kind(other),
    }
}

/// What the operator wants, unless the host is not there: that is what the operator must know first.
pub fn state_of(page: &Page, host: &Host) -> (String, &'static str) {
    if host.state != HostState::Disabled && !host.online {
        (page.t("admin-host-offline"), "failed")
    } else {
        (word(page, "host", host.state.as_str()), state_kind(host.state.as_str()))
    }
}

async fn list(State(app): State<App>, _: Admin, page: Page) -> Result<ListPage> {
    let hosts = db::list(app.db.platform()).await?;
    let rows = hosts.into_iter().map(|host| Row::new(&page, host)).collect();
    Ok(ListPage { page, rows })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/host_enrol.html")]
struct EnrolPage {
    page: Page,
    name: String,
    nat: bool,
    errors: Vec<FieldError>,
    made: Option<Made>,
}

/// The command with its token: shown on this one page and never again.
struct Made {
    command: String,
    expires_at: OffsetDateTime,
}

async fn enrol_form(_: Admin, page: Page) -> EnrolPage {
    EnrolPage { page, name: String::new(), nat: false, errors: Vec::new(), made: None }
}

async fn enrol_host(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let (name, nat) = (form.trimmed("name").to_owned(), form.on("nat"));
    match enrol::create_join_token(&app, &actor, &name, nat).await {
        Ok(token) => {
            let made = Made { command: token.command(&app), expires_at: token.expires_at };
            Ok(EnrolPage { page, name, nat, errors: Vec::new(), made: Some(made) }.into_response())
        }
        Err(error) => {
            let errors = field_errors(error)?;
            let page = EnrolPage { page, name, nat, errors, made: None };
            Ok(unprocessable(page))
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/host.html")]
struct HostPage {
    page: Page,
    host: Host,
    state: String,
    state_kind: &'static str,
    qualification: String,
    qualification_kind: &'static str,
    qualification_note: String,
    power: String,
    stacks: Vec<Stack>,
    bars: Vec<Bar>,
    sold: Vec<Sold>,
    instances: Vec<InstanceRow>,
    samples: Samples,
    certificates: Vec<Certificate>,
    aside: Vec<set_aside::Row>,
    now: OffsetDateTime,
    form: Sent,
    errors: Vec<FieldError>,
}

impl HostPage {
    async fn build(app: &App, page: Page, host: Host, form: Sent, errors: Vec<FieldError>) -> Result<Self> {
        let filter = instances::Filter { host: Some(host.id), ..Default::default() };
        let instances = instances::list(app.db.platform(), &filter, None, 200).await?;
        let samples = samples::latest_of_host(app.db.platform(), host.id).await?;
        let certificates = db::certificates(app.db.platform(), host.id).await?;
        let of_host = Filter { host: Some(host.id), instance: None };
        let aside = set_aside::of(app, &page, of_host).await?;
        let (state, state_kind) = state_of(&page, &host);
        Ok(Self {
            state,
            state_kind,
            qualification: word(&page, "qualification", &host.qualification),
            qualification_kind: state_kind_of_qualification(&host.qualification),
            qualification_note: qualification_note(&page, &host),
            power: power_words(&page, &host.load.unwrap_or_default()),
            stacks: division::stacks(&page, &host, &instances, &samples),
            bars: division::bars(&page, &host),
            sold: division::sold(&page, &host),
            samples,
            instances,
            certificates,
            aside,
            now: OffsetDateTime::now_utc(),
            form,
            errors,
            host,
            page,
        })
    }

    fn state_word(&self, state: &str) -> String {
        word(&self.page, "instance", state)
    }

    fn saving_word(&self, saving: &str) -> String {
        word(&self.page, "power-saving", saving)
    }

    fn kind(&self, state: &str) -> &'static str {
        state_kind(state)
    }

    fn doing(&self, instance: &InstanceRow) -> Option<Doing> {
        division::doing(&self.page, &self.samples, instance)
    }

    fn certificate_state(&self, certificate: &Certificate) -> (&'static str, String) {
        if certificate.revoked_at.is_some() {
            ("failed", self.page.t("admin-certificate-revoked"))
        } else if certificate.not_after < self.now {
            ("stopped", self.page.t("admin-certificate-expired"))
        } else {
            ("running", self.page.t("admin-certificate-valid"))
        }
    }
}

fn qualification_note(page: &Page, host: &Host) -> String {
    match host.facts.as_ref().map(|facts| &facts.qualification) {
        Some(Qualification::Kvm { boot_milliseconds }) => {
            page.t1("admin-qualified-boot", "seconds", policy_form::decimal(*boot_milliseconds, 3))
        }
        Some(Qualification::Emulated { reason, .. } | Qualification::Failed { reason }) => reason.clone(),
        _ => String::new(),
    }
}

/// What the processors do about power; "" where nothing is known of it.
fn power_words(page: &Page, load: &HostLoad) -> String {
    let governor = load.governor.map(|governor| page.t1("admin-host-governor", "name", governor.name()));
    let parked = (load.parked_cores > 0).then(|| page.t1("admin-host-parked", "count", load.parked_cores));
    let watts = load.watts.map(|watts| format!("{watts} W"));
    [governor, parked, watts].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn host_form(host: &Host) -> Sent {
    let permille = |value: u32| policy_form::decimal(value.into(), 3);
    let kbit = host.uplink_kbit.map_or(0, i64::unsigned_abs);
    let entries = [
        ("system_memory_mib", host.system_memory_mib.to_string()),
        ("uplink", if kbit == 0 { String::new() } else { policy_form::decimal(kbit, 3) }),
        ("overcommit_cpu", permille(host.overcommit.cpu_permille)),
        ("overcommit_memory", permille(host.overcommit.memory_permille)),
        ("overcommit_storage", permille(host.overcommit.disk_permille)),
        ("nat", switch(host.nat)),
        ("power_saving", host.power_saving.name().to_owned()),
        ("page_merging", switch(host.page_merging)),
    ];
    Sent::from(entries)
}

/// Ratios and rates are entered as decimals; the use case counts in thousandths.
fn read(form: &Sent) -> Result<HostChange, Vec<FieldError>> {
    let mut problems = Vec::new();
    let system_memory_mib = form.number("system_memory_mib", &mut problems);
    let mut thousandths = |name: &'static str, empty: Option<i64>| match (form.trimmed(name), empty) {
        ("", Some(empty)) => empty,
        (text, _) => policy_form::parse_decimal(&typed::figure(text, 3), 3)
            .and_then(|figure| i64::try_from(figure).ok())
            .unwrap_or_else(|| {
                problems.push(FieldError::new(name, "policy-decimal").with("places", 3));
                0
            }),
    };
    let change = HostChange {
        state: None,
        uplink_kbit: Some(thousandths("uplink", Some(0))),
        overcommit_cpu_permille: Some(thousandths("overcommit_cpu", None)),
        overcommit_memory_permille: Some(thousandths("overcommit_memory", None)),
        overcommit_storage_permille: Some(thousandths("overcommit_storage", None)),
        system_memory_mib: Some(system_memory_mib),
        nat: Some(form.on("nat")),
        page_merging: Some(form.on("page_merging")),
        // A form without it (an older page) says nothing about it.
        power_saving: form.get("power_saving").map(|name| Saving::from_name(name).unwrap_or(Saving::Unknown)),
    };
    if problems.is_empty() { Ok(change) } else { Err(problems) }
}

/// From the use case's fields to the form's, figures in the form's units.
fn in_form(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        let field = match error.field.as_str() {
            "uplink_kbit" => "uplink",
            "overcommit_cpu_permille" => "overcommit_cpu",
            "overcommit_memory_permille" => "overcommit_memory",
            "overcommit_storage_permille" => "overcommit_storage",
            _ => continue,
        };
        error.field = field.to_owned();
        for (_, value) in &mut error.arguments {
            if let Ok(figure) = value.parse() {
                *value = policy_form::decimal(figure, 3);
            }
        }
    }
    errors
}

async fn find(app: &App, id: &str) -> Result<Host> {
    db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<HostPage> {
    let host = find(&app, &id).await?;
    let form = host_form(&host);
    HostPage::build(&app, page, host, form, Vec::new()).await
}

async fn change(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let host = find(&app, &id).await?;
    let changed = match read(&form) {
        Ok(change) => edit::update(&app, &actor, host.id, &change).await,
        Err(problems) => Err(Error::Invalid(problems)),
    };
    match changed {
        Ok(host) => Ok(flash::redirect_with(&format!("/admin/hosts/{id}"), "host-saved", &host.name)),
        Err(error) => {
            let errors = in_form(field_errors(error)?);
            let page = HostPage::build(&app, page, host, form, errors).await?;
            Ok(unprocessable(page))
        }
    }
}

async fn set_state(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let state = HostState::parse(form.trimmed("state")).ok_or_else(|| Error::invalid("state", "choice"))?;
    let change = HostChange { state: Some(state), ..HostChange::default() };
    let host = edit::update(&app, &actor, id.parse()?, &change).await?;
    let message = match state {
        HostState::Active => "host-active",
        HostState::Draining => "host-draining",
        HostState::Disabled => "host-disabled",
    };
    Ok(flash::redirect_with(&format!("/admin/hosts/{id}"), message, &host.name))
}

async fn revoke(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let host: HostId = id.parse()?;
    let serial = Some(form.trimmed("serial")).filter(|serial| !serial.is_empty());
    let revoked = edit::revoke(&app, &actor, host, serial).await?;
    Ok(flash::redirect_with(&format!("/admin/hosts/{id}"), "certificates-revoked", &revoked.to_string()))
}
