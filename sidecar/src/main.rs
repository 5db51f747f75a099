//! Serves a language model and guards what it says by its own activations.

mod args;
mod commands;

use clap::Parser as _;
use commands::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The only provider that is compiled in; a second call cannot happen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("personaguard: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line. Some messages say their cause themselves; it is not
/// repeated.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
