//! Subcommands, one a file.

mod audit;
mod bench;
mod calibrate;
mod chat;
mod extract;
mod fetch;
mod merge_ranks;
mod plugin;
mod replay;
mod screen;
mod serve;
mod study;
mod vector;
mod verify;

use clap::{Parser, Subcommand};

/// Serves a language model, and guards what it says by its own activations.
///
/// `serve` runs the OpenAI-compatible server that applies persona policies; it needs no cluster.
/// `chat` talks to it, and shows the trait scores beside each answer. `extract` makes the persona
/// vectors that policies measure by.
#[derive(Debug, Parser)]
#[command(name = "personaguard", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Chat(chat::Options),
    Extract(extract::Options),
    Fetch(fetch::Options),
    Calibrate(calibrate::Options),
    Screen(screen::Options),
    MergeRanks(merge_ranks::Options),
    Study(study::Options),
    Verify(verify::Options),
    Bench(bench::Options),
    Vector(vector::Options),
    Audit(audit::Options),
    Replay(replay::Options),
    Plugin(plugin::Options),
}

impl Cli {
    /// Runs the chosen command.
    ///
    /// # Errors
    /// What a person should read.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(options) => serve::run(options),
            Command::Chat(options) => chat::run(&options),
            Command::Extract(options) => extract::run(options),
            Command::Fetch(options) => fetch::run(&options),
            Command::Calibrate(options) => calibrate::run(options),
            Command::Screen(options) => screen::run(options),
            Command::MergeRanks(options) => merge_ranks::run(options),
            Command::Study(options) => study::run(options),
            Command::Verify(options) => verify::run(options),
            Command::Bench(options) => bench::run(options),
            Command::Vector(options) => vector::run(options),
            Command::Audit(options) => audit::run(&options),
            Command::Replay(options) => replay::run(options),
            Command::Plugin(options) => plugin::run(&options),
        }
    }
}

#[cfg(test)]
mod tests;
