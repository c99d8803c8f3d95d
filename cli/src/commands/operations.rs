//! Operations: what was done, what is being done, and waiting for it.

use crate::api::Api;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::{Instance, Operation};
use crate::output::{Facts, Table, note, print, print_json, time};
use crate::resolve;
use crate::wait::word;
use crate::words::texts;
use std::collections::HashMap;
use std::time::Duration;

pub async fn list(context: &Context, instance: Option<&str>, limit: usize) -> Result<()> {
    let api = context.api()?;
    let query = match instance {
        Some(name) => vec![("instance", resolve::instance(&api, name).await?.id)],
        None => Vec::new(),
    };
    let listing = api.list(&["operations"], &query, Some(limit.max(1))).await?;
    if context.json {
        print_json(&listing.text);
        return Ok(());
    }
    let operations: Vec<Operation> = listing.read()?;
    if operations.is_empty() {
        note(context.text(texts::NOTHING_HERE));
        return Ok(());
    }
    let names = names(&api).await;
    let heads = [texts::BEGUN_AT, texts::INSTANCE, texts::KIND, texts::STATE, texts::PROBLEM, texts::ID];
    let mut table = Table::new(&heads.map(|head| context.text(head)));
    for operation in operations {
        let name = names.get(&operation.instance_id).unwrap_or(&operation.instance_id).clone();
        table.row(vec![
            time(&operation.created_at),
            name,
            word(context.language, texts::kind(&operation.kind), &operation.kind),
            state(context, &operation),
            operation.failure_code.clone().unwrap_or_default(),
            operation.id,
        ]);
    }
    print(&table.render());
    Ok(())
}

/// Names by ids; of what is gone, or cannot be asked for now, there is none.
async fn names(api: &Api) -> HashMap<String, String> {
    let listing = api.list(&["instances"], &[], None).await.and_then(|listing| listing.read::<Instance>());
    listing.unwrap_or_default().into_iter().map(|instance| (instance.id, instance.name)).collect()
}

fn state(context: &Context, operation: &Operation) -> String {
    let state = word(context.language, texts::operation_state(&operation.state), &operation.state);
    if operation.has_ended() { state } else { format!("{state} {}%", operation.percent) }
}

fn checked(id: &str) -> Result<&str> {
    if resolve::is_id(id, "op") {
        Ok(id)
    } else {
        Err(Failure::usage(texts::NO_SUCH_OPERATION).with("name", id))
    }
}

pub async fn show(context: &Context, id: &str) -> Result<()> {
    let answer = context.api()?.get(&["operations", checked(id)?], &[]).await?;
    if context.json {
        print_json(&answer.text);
        return Ok(());
    }
    let operation: Operation = answer.read()?;
    let mut facts = Facts::new();
    let mut add = |name, value: String| facts.add(context.text(name), value);
    add(texts::ID, operation.id.clone());
    add(texts::INSTANCE, operation.instance_id.clone());
    add(texts::KIND, word(context.language, texts::kind(&operation.kind), &operation.kind));
    add(texts::STATE, state(context, &operation));
    if !operation.has_ended() {
        add(texts::STEP, word(context.language, texts::step(&operation.step), &operation.step));
    }
    if let Some(code) = &operation.failure_code {
        add(texts::PROBLEM, format!("{} ({code})", operation.failure_detail.as_deref().unwrap_or("")));
    }
    add(texts::RESTART, operation.restart_required.join(", "));
    add(texts::BEGUN_AT, time(&operation.created_at));
    print(&facts.render());
    Ok(())
}

pub async fn wait(context: &Context, id: &str, limit: Duration) -> Result<()> {
    let api = context.api()?;
    let answer = api.get(&["operations", checked(id)?], &[]).await?;
    let operation: Operation = answer.read()?;
    let instance = api.get(&["instances", &operation.instance_id], &[]).await;
    let name = instance.and_then(|answer| answer.read::<Instance>()).map(|instance| instance.name);
    let name = name.unwrap_or_else(|_| operation.instance_id.clone());
    context.wait(&api, &name, operation, answer.text, limit).await?;
    Ok(())
}
