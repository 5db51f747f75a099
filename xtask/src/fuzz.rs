//! `cargo xtask fuzz`: the fuzz targets, guided by coverage (libFuzzer, by cargo-bolero).

#[cfg(test)]
mod tests;

use crate::progress::Progress;
use crate::tools;
use crate::workspace::{root, show};
use anyhow::Result;
use clap::{Args, ValueEnum};
use personaguard_cluster::Cache;
use std::fs;
use std::process::Command;

/// Version of cargo-bolero.
const VERSION: &str = "0.13.5";
/// Longest input in bytes.
const MAX_INPUT: usize = 64 << 10;

/// Fuzz with coverage for as long as you like: an hour for each target by default.
///
/// Inputs that reach new code are collected in the cache, starting from the corpus in the target's
/// `__fuzz__` folder. An input that fails is written to `crashes` in that folder, where
/// `cargo test` finds it, too. Needs a C++ compiler.
#[derive(Args)]
pub(crate) struct Options {
    /// Targets. Default: all of them, one after the other.
    #[arg(value_name = "TARGET")]
    targets: Vec<Target>,
    /// Seconds for each target.
    #[arg(long, value_name = "N", default_value_t = 3600)]
    seconds: u64,
}

/// A fuzz target.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// Policy files and the operator's config
    Policy,
    /// Bodies of chat requests
    ChatRequest,
    /// Bodies of requests to a model server behind the sidecar
    ProxyRequest,
    /// Streams of a model server behind the sidecar
    Sse,
    /// Chat templates
    Template,
}

impl Target {
    /// The package, the folder below it, and the test.
    fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Policy => (
                "personaguard-server",
                "sidecar/server/src/__fuzz__/policy",
                "fuzz_tests::fuzz_policy_files",
            ),
            Self::ChatRequest => (
                "personaguard-server",
                "sidecar/server/src/chat/__fuzz__/chat-request",
                "chat::fuzz_tests::fuzz_bodies_of_chat_requests",
            ),
            Self::ProxyRequest => (
                "personaguard-server",
                "sidecar/server/src/proxy/__fuzz__/proxy-request",
                "proxy::fuzz_tests::fuzz_bodies_of_proxied_requests",
            ),
            Self::Sse => (
                "personaguard-server",
                "sidecar/server/src/proxy/__fuzz__/sse",
                "proxy::fuzz_tests::fuzz_sse_of_an_upstream_server",
            ),
            Self::Template => (
                "personaguard-model",
                "sidecar/model/src/chat/__fuzz__/template",
                "chat::tests::fuzz_chat_templates",
            ),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A target cannot be built, or an input fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    let why = "builds the fuzz targets with libFuzzer";
    let tool = tools::ensure(&cache, "cargo-bolero", VERSION, why, &progress)?;
    let all = Target::value_variants();
    let targets = if options.targets.is_empty() { all } else { &options.targets };
    for target in targets {
        let (package, folder, test) = target.place();
        let folder = root().join(folder);
        let found = cache.join("fuzz").join(format!("{target:?}"));
        fs::create_dir_all(&found)?;
        progress.announce(&format!("{target:?}: {} s", options.seconds));
        show(
            Command::new(&tool)
                .current_dir(root())
                // A sanitizer would need a nightly compiler.
                .args(["bolero", "test", "--sanitizer", "NONE", "--package", package])
                .arg("--target-dir")
                .arg(cache.join("target-fuzz"))
                .args(["-T", &format!("{}s", options.seconds), "-l", &MAX_INPUT.to_string()])
                .arg("--corpus-dir")
                .arg(found)
                .arg(format!("--engine-args={}", folder.join("corpus").display()))
                .arg(format!("--engine-args=-dict={}", folder.join("dictionary").display()))
                .arg(test),
        )?;
    }
    Ok(())
}
