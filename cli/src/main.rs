//! `jst`: the command-line client of Jinshitong VPS.
//!
//! It knows the API and nothing else of the platform.  Results go to standard output, everything said beside
//! them to standard error, so that a script can use the one and a person read the other.

mod api;
mod arguments;
mod commands;
mod config;
mod confirm;
mod context;
mod error;
mod model;
mod output;
mod resolve;
mod retry;
mod server;
mod wait;
mod words;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let language = words::Language::from_environment();
    // The same provider as everywhere on the platform.  It can only be set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = context::Context::new(&arguments, language);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(&context, arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(language, context.json);
            ExitCode::from(failure.code())
        }
    }
}
