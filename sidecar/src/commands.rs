//! Subcommands, one a file.

mod audit;
mod chat;
mod replay;
mod serve;

use clap::{Parser, Subcommand};
use personaguard_lab::commands::{
    bench, calibrate, extract, merge_ranks, screen, study, vector, verify,
};

/// Serves a language model and guards what it says by its own activations.
///
/// `serve` runs the OpenAI-compatible server that applies persona policies; it needs no cluster.
/// `chat` talks to it and shows the trait scores beside each answer.
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
    Calibrate(calibrate::Options),
    Screen(screen::Options),
    MergeRanks(merge_ranks::Options),
    Study(study::Options),
    Verify(verify::Options),
    Bench(bench::Options),
    Vector(vector::Options),
    Audit(audit::Options),
    Replay(replay::Options),
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
            Command::Extract(options) => extract::run(&options),
            Command::Calibrate(options) => calibrate::run(&options),
            Command::Screen(options) => screen::run(&options),
            Command::MergeRanks(options) => merge_ranks::run(&options),
            Command::Study(options) => study::run(&options),
            Command::Verify(options) => verify::run(&options),
            Command::Bench(options) => bench::run(&options),
            Command::Vector(options) => vector::run(&options),
            Command::Audit(options) => audit::run(&options),
            Command::Replay(options) => replay::run(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn what_the_documentation_shows_is_understood() {
        Cli::command().debug_assert();
        for line in [
            "extract --model m.gguf --trait evil --out evil.safetensors",
            "extract --model m.gguf --trait evil --out v --deliver-to https://op:8443 --token-file t --ca-file ca.crt",
            "extract --model m.gguf --trait evil --rollouts 10 --shard 0/4 --out evil.part-0",
            "extract --model m.gguf --trait evil --rollouts 10 --parts evil.part-0 evil.part-1 --out evil.safetensors",
            "screen data.jsonl --model m.gguf --vectors a.safetensors b.safetensors --out ranks.jsonl",
            "merge-ranks a b --out ranks.jsonl --report ranks.html",
            "study --model m.gguf --vectors a.safetensors --out study",
            "calibrate --model m.gguf --vectors a.safetensors --conversations benign.jsonl --out calibrated",
            "verify --base base.gguf --tuned tuned.gguf --vectors a.safetensors",
            "verify --base ./base --adapter ./my-lora --vectors a.safetensors",
            "serve --config policy --model m.gguf --log-format text",
            "serve --config policy --upstream http://127.0.0.1:8000",
            "audit verify audit.jsonl",
            "chat",
            "bench --model m.gguf --threads 2",
        ] {
            let words = std::iter::once("personaguard").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
