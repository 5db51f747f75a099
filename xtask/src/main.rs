//! Developer commands: crdgen, image, cluster, demo, test.

mod cluster;
mod progress;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer commands of Personaguard.
///
/// On a fresh machine `cargo xtask demo` shows everything on a local cluster, and `cargo xtask test` runs every test.
/// Both bring what they miss (Debian, Go and Python packages) and say so before they do.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    Cluster(cluster::Command),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Cluster(command) => cluster::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
