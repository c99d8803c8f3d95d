//! Completions for shells.

use crate::arguments::{Arguments, Shell};
use crate::output::print;
use clap::CommandFactory;
use clap_complete::{generate, shells};

pub fn print_script(shell: Shell) {
    print(&script(shell));
}

fn script(shell: Shell) -> String {
    let mut command = Arguments::command();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, "jst", &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, "jst", &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, "jst", &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for command in Arguments::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{}", command.get_name());
            }
        }
    }
}
