//! Looking at instances.

use crate::context::Context;
use crate::error::Result;
use crate::model::Instance;
use crate::output::{Facts, Table, mib, note, print, print_json, time};
use crate::resolve;
use crate::wait::word;
use crate::words::texts;

pub async fn list(context: &Context) -> Result<()> {
    let listing = context.api()?.list(&["instances"], &[], None).await?;
    if context.json {
        print_json(&listing.text);
        return Ok(());
    }
    let instances: Vec<Instance> = listing.read()?;
    if instances.is_empty() {
        note(context.text(texts::NO_INSTANCES));
        return Ok(());
    }
    let heads = [texts::NAME, texts::STATE, texts::PLAN, texts::IMAGE, texts::ADDRESSES, texts::ID];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    for instance in instances {
        let state = state(context, &instance);
        let addresses = instance.addresses.join(" ");
        table.row(vec![
            instance.name,
            state,
            instance.plan.slug,
            instance.image.slug,
            addresses,
            instance.id,
        ]);
    }
    print(&table.render());
    Ok(())
}

/// The state, and what is being done to it.
fn state(context: &Context, instance: &Instance) -> String {
    let state = word(context.language, texts::instance_state(&instance.state), &instance.state);
    match &instance.operation {
        Some(operation) => {
            let kind = word(context.language, texts::kind(&operation.kind), &operation.kind);
            format!("{state} ({kind})")
        }
        None => state,
    }
}

pub async fn show(context: &Context, name: &str) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, name).await?;
    if context.json {
        // Asked for by itself, so that what is printed is what the API answers about this one.
        print_json(&api.get(&["instances", &instance.id], &[]).await?.text);
        return Ok(());
    }
    print(&facts(context, &instance).render());
    Ok(())
}

fn facts(context: &Context, instance: &Instance) -> Facts {
    let mut facts = Facts::new();
    let mut add = |name, value: String| facts.add(context.text(name), value);
    add(texts::NAME, instance.name.clone());
    add(texts::ID, instance.id.clone());
    add(texts::STATE, state(context, instance));
    if let Some(operation) = &instance.operation {
        let step = word(context.language, texts::step(&operation.step), &operation.step);
        add(texts::RUNNING_OPERATION, format!("{} ({step}, {}%)", operation.id, operation.percent));
    }
    if let Some(failure) = &instance.failure {
        add(texts::PROBLEM, format!("{} ({})", failure.detail, failure.code));
    }
    add(texts::LOCKED, instance.lock_reason.clone().unwrap_or_default());
    add(texts::ADDRESSES, instance.addresses.join(" "));
    add(texts::LOG_IN_AS, instance.login_user.clone());
    let domain = instance.domain.as_ref().map(|domain| format!(".{domain}")).unwrap_or_default();
    add(texts::HOSTNAME, format!("{}{domain}", instance.hostname));
    add(texts::PLAN, instance.plan.slug.clone());
    add(
        texts::CHARGED_PLAN,
        instance.charged_plan.as_ref().map_or_else(String::new, |plan| plan.slug.clone()),
    );
    add(texts::IMAGE, instance.image.slug.clone());
    let policy = &instance.policy;
    let (memory, disk) = (mib(policy.memory.size), mib(policy.disk.size));
    add(texts::RESOURCES, format!("{} vCPU, {memory}, {disk}", policy.cpu.vcpus));
    add(texts::RESTART, instance.restart_required.join(", "));
    add(texts::DRIFT, instance.drift.join(", "));
    if instance.network_seen == Some(false) {
        add(texts::NETWORK, context.text(texts::NETWORK_NOT_SEEN).to_owned());
    }
    if instance.delete_protection {
        add(texts::PROTECTION, context.text(texts::YES).to_owned());
    }
    if let Some(trial) = &instance.trial {
        add(texts::TRIAL_UNTIL, time(&trial.expires_at));
    }
    add(texts::CREATED_AT, time(&instance.created_at));
    if let Some(at) = &instance.delete_at {
        add(texts::DELETED_FOR_GOOD, time(at));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Language;

    #[test]
    fn what_a_server_leaves_out_is_left_out() {
        let context = Context { language: Language::English, json: false, server: None, ca: None };
        let body = r#"{ "id": "vm_1", "name": "w\u001b[2J", "state": "running", "operation": { "id": "op_1", "kind": "resize" } }"#;
        let mut instance: Instance = serde_json::from_str(body).unwrap();
        let shown = facts(&context, &instance).render();
        assert!(!shown.contains("NETWORK"), "{shown}");
        instance.network_seen = Some(false);
        assert!(facts(&context, &instance).render().contains("not seen since it started"));
        assert!(shown.contains("running (resize)") && !shown.contains("DRIFT"), "{shown}");
        assert!(shown.contains("w\\u{1b}[2J"), "{shown}");
    }
}
