//! The commands.  Each asks the API and prints; what they share stands in [`crate::context`].

mod account;
mod actions;
mod catalogue;
mod completions;
mod console;
mod create;
mod firewall;
mod instances;
mod keys;
mod operations;
mod rebuild;
mod ssh;
mod usage;

use crate::arguments::Command;
use crate::context::Context;
use crate::error::Result;

pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Login { token_stdin } => account::login(context, token_stdin).await,
        Command::Logout => account::logout(context),
        Command::Account => account::show(context).await,
        Command::Instances => instances::list(context).await,
        Command::Show { instance } => instances::show(context, &instance.name).await,
        Command::Create(new) => create::create(context, new).await,
        Command::Start(change) => actions::act(context, &change, "start").await,
        Command::Shutdown(change) => actions::act(context, &change, "shutdown").await,
        Command::PowerOff(change) => actions::act(context, &change, "power-off").await,
        Command::Reboot(change) => actions::act(context, &change, "reboot").await,
        Command::Undelete(change) => actions::undelete(context, &change).await,
        Command::Retry(change) => actions::act(context, &change, "retry").await,
        Command::Resize { change, plan, grow_disk } => {
            actions::resize(context, &change, &plan, grow_disk).await
        }
        Command::Rebuild(rebuild) => rebuild::rebuild(context, rebuild).await,
        Command::Rename { change, new_name, hostname } => {
            actions::rename(context, &change, new_name, hostname).await
        }
        Command::Delete { change, now, yes } => actions::delete(context, &change, now, yes).await,
        Command::Protect { instance } => actions::protect(context, &instance.name, true).await,
        Command::Unprotect { instance } => actions::protect(context, &instance.name, false).await,
        Command::Firewall(change) => firewall::firewall(context, change).await,
        Command::Usage { instance } => usage::usage(context, &instance.name).await,
        Command::Metrics { instance, range } => usage::metrics(context, &instance.name, range).await,
        Command::Plans => catalogue::plans(context).await,
        Command::Images => catalogue::images(context).await,
        Command::Keys { action } => keys::run(context, action).await,
        Command::Operations { id: Some(id), .. } => operations::show(context, &id).await,
        Command::Operations { id: None, instance, limit } => {
            operations::list(context, instance.as_deref(), limit).await
        }
        Command::Wait { id, timeout } => operations::wait(context, &id, timeout.timeout).await,
        Command::Ssh { instance, user, arguments } => {
            ssh::ssh(context, &instance.name, user, arguments).await
        }
        Command::Console { instance } => console::console(context, &instance.name).await,
        Command::Completions { shell } => {
            completions::print_script(shell);
            Ok(())
        }
    }
}
