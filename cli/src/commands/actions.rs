//! Changes of one instance.

use crate::api::{Answer, Api};
use crate::arguments::Change;
use crate::confirm;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::{Instance, Operation};
use crate::output::{print_json, time};
use crate::resolve;
use crate::words::texts;
use serde_json::{Value, json};

/// What needs nothing but the instance: start, shutdown and their like.
pub async fn act(context: &Context, change: &Change, action: &str) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, &change.instance.name).await?;
    ask(context, &api, &instance, change, action, json!({})).await
}

pub async fn undelete(context: &Context, change: &Change) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::deleted_instance(&api, &change.instance.name).await?;
    ask(context, &api, &instance, change, "undelete", json!({})).await
}

pub async fn resize(context: &Context, change: &Change, plan: &str, grow_disk: bool) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, &change.instance.name).await?;
    ask(context, &api, &instance, change, "resize", json!({ "plan": plan, "grow_disk": grow_disk })).await
}

/// Asks for an action on an instance and follows it.
pub async fn ask(
    context: &Context,
    api: &Api,
    instance: &Instance,
    change: &Change,
    action: &str,
    body: Value,
) -> Result<()> {
    let answer = api.post(&["instances", &instance.id, "actions", action], body).await?;
    context.follow(api, &instance.name, answer, &change.waiting).await?;
    Ok(())
}

pub async fn rename(
    context: &Context,
    change: &Change,
    new_name: String,
    hostname: Option<String>,
) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, &change.instance.name).await?;
    let body = super::create::without_nothing(json!({ "name": new_name, "hostname": hostname }));
    let answer = api.put(&["instances", &instance.id, "name"], body).await?;
    context.follow(&api, &new_name, answer, &change.waiting).await?;
    Ok(())
}

pub async fn protect(context: &Context, name: &str, on: bool) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, name).await?;
    let answer = api.patch(&["instances", &instance.id], json!({ "delete_protection": on })).await?;
    if context.json {
        print_json(&answer.text);
    }
    context.say(if on { texts::PROTECTED } else { texts::UNPROTECTED }, &[("name", instance.name)]);
    Ok(())
}

pub async fn delete(context: &Context, change: &Change, now: bool, yes: bool) -> Result<()> {
    let api = context.api()?;
    let instance = resolve::instance(&api, &change.instance.name).await?;
    let name = || vec![("name", instance.name.clone())];
    let warning = if now { texts::WARN_DELETE_NOW } else { texts::WARN_DELETE };
    confirm::by_name(context.language, warning, &name(), (&instance.id, &instance.name), yes)?;
    let query = if now { vec![("now", "true".to_owned())] } else { Vec::new() };
    let answer = match api.delete(&["instances", &instance.id], &query).await {
        // The server knows a repeated POST by its key, and a repeated DELETE not.
        Err(Failure::Api(problem)) if problem.repeated && matches!(problem.status, 404 | 409) => {
            match deleted_before_the_break(&api, &instance.id).await? {
                Some(answer) => answer,
                None => return Err(Failure::Api(problem)),
            }
        }
        answer => answer?,
    };
    let done = context.follow(&api, &instance.name, answer, &change.waiting).await?;
    if done && !context.json {
        let left =
            api.get(&["instances", &instance.id], &[]).await.and_then(|answer| answer.read::<Instance>());
        match left.ok().filter(|_| !now).and_then(|instance| instance.delete_at) {
            Some(at) => {
                let mut arguments = name();
                arguments.push(("time", time(&at)));
                context.say(texts::DELETED_UNTIL, &arguments);
            }
            None => context.say(texts::GONE, &name()),
        }
    }
    Ok(())
}

/// The operation of the first try, where that one is what has deleted the instance.
async fn deleted_before_the_break(api: &Api, id: &str) -> Result<Option<Answer>> {
    let newest = api.list(&["operations"], &[("instance", id.to_owned())], Some(1)).await?;
    match newest.read::<Operation>()?.first().filter(|operation| operation.kind == "delete") {
        Some(operation) => api.get(&["operations", &operation.id], &[]).await.map(Some),
        None => Ok(None),
    }
}
