//! Serves a language model and guards what it says by its own activations.

mod args;
mod commands;
mod vllm_plugin;

use clap::Parser as _;
use commands::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The only provider that is compiled in; a second call cannot happen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("personaguard: {error:#}");
            ExitCode::FAILURE
        }
    }
}
