//! `cargo xtask test`: everything that a change has to pass, cheap first.

mod charts;
mod count;
mod e2e;
mod scripts;
mod summary;
mod vllm;

use crate::progress::Progress;
use crate::workspace::{cargo, show};
use crate::{docs, model, structure, tools, workspace};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use count::Count;
use personaguard_cluster::{Cache, run as finish};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use summary::Summary;

/// Run every test: format, structure, Python scripts, alerting rules, licences, lints, unit tests,
/// the plugin in vLLM, charts, and the end-to-end tests on a local cluster of their own.
///
/// The first run takes about 75 minutes on 2 cores, most of it for building Kubernetes and
/// Personaguard; what was built and installed is kept (vLLM for processors: 6 GB). The end-to-end
/// tests need root. Every step runs, also after one that failed.
#[derive(Args)]
pub(crate) struct Options {
    /// Run these steps only; can be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Leave the end-to-end tests' cluster up, and use it again if it is up.
    #[arg(long)]
    keep: bool,
    /// Folder with evil.safetensors and sycophantic.safetensors to use instead of extracting them.
    #[arg(long, value_name = "DIR")]
    vectors: Option<PathBuf>,
    /// Arguments for the test programs of the steps unit and e2e, such as a part of a test's name.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting: cargo fmt --check
    Fmt,
    /// Imports run one way, files and lines are short, dependencies are used: cargo xtask structure
    Structure,
    /// The Python scripts: ruff (lints, format) and mypy (types)
    Python,
    /// The alerting rules and their own tests: promtool
    Rules,
    /// Licences, banned crates and sources of every dependency: cargo deny
    Deny,
    /// Lints: cargo clippy, warnings denied
    Clippy,
    /// Unit and property tests of every crate, and whether the generated CRDs are current
    Unit,
    /// The pages: generated ones are current, links lead somewhere, the book builds
    Docs,
    /// The plugin for vLLM: its operator, and the stock engine with it
    Vllm,
    /// The same in an engine whose graph is compiled: minutes, so only where it is asked for
    VllmCompiled,
    /// The charts: helm lint
    Charts,
    /// The scenarios on a real cluster
    E2e,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new();
    let mut summary = Summary::default();
    for step in Step::value_variants() {
        let is_wanted = if options.only.is_empty() {
            !matches!(step, Step::VllmCompiled)
        } else {
            options.only.contains(step)
        };
        if !is_wanted {
            continue;
        }
        let started = Instant::now();
        progress.announce(&format!("== {step:?}"));
        let mut count = Count::default();
        let result = step.run(&cache, options, &progress, &mut count);
        progress.done();
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        summary.add(*step, result.is_ok(), started.elapsed(), count);
    }
    let all = options.only.is_empty() && options.arguments.is_empty();
    summary.print_and_judge(all)
}

impl Step {
    fn run(
        self,
        cache: &Cache,
        options: &Options,
        progress: &Progress,
        count: &mut Count,
    ) -> Result<()> {
        match self {
            Self::Fmt => {
                component("rustfmt", "fmt", progress)?;
                show(cargo().args(["fmt", "--all", "--check"]))
            }
            Self::Structure => structure::check(&structure::Options::default()),
            Self::Python => scripts::check(cache, progress),
            Self::Deny => deny(cache, progress),
            Self::Vllm => vllm::run(cache, progress, count),
            Self::VllmCompiled => vllm::run_compiled(cache, progress, count),
            Self::Docs => docs::check(cache, progress),
            Self::Charts => charts::lint(cache, progress),
            Self::Rules => charts::rules(cache, progress),
            // In the release profile, as everything: what build scripts and macros make is shared.
            Self::Clippy => {
                component("clippy", "clippy", progress)?;
                show(cargo().args([
                    "clippy",
                    "--release",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ]))
            }
            Self::Unit => {
                let weights = model::ensure(cache, progress)?;
                progress.announce("unit tests");
                let exclude = ["--exclude", "personaguard-e2e", "--no-fail-fast", "--"];
                count.run(
                    cargo()
                        .args(["test", "--release", "--workspace"])
                        .args(exclude)
                        .args(&options.arguments)
                        .env("PERSONAGUARD_TEST_MODEL", weights),
                )
            }
            Self::E2e => e2e::run(cache, options, progress, count),
        }
    }
}

/// A part of the Rust toolchain that a minimal installation lacks.
fn component(name: &str, subcommand: &str, progress: &Progress) -> Result<()> {
    if finish(cargo().args([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    progress.step(&format!("adding {name} to the Rust toolchain"));
    finish(Command::new("rustup").args(["component", "add", name]))
        .with_context(|| format!("cargo {subcommand} is missing"))
}

/// Runs cargo-deny. Advisories need a database that not every machine can download: without it they
/// are not checked, and a line says so.
fn deny(cache: &Cache, progress: &Progress) -> Result<()> {
    const VERSION: &str = "0.20.2";
    let tool =
        tools::ensure(cache, "cargo-deny", VERSION, "checks licences and sources", progress)?;
    let deny = || {
        let mut command = Command::new(&tool);
        command.current_dir(workspace::root()).arg("--all-features");
        command
    };
    show(deny().args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;
    if finish(deny().args(["fetch", "db"])).is_err() {
        eprintln!("advisories: NOT checked, the database of advisories cannot be downloaded here");
        return Ok(());
    }
    show(deny().args(["check", "--hide-inclusion-graph", "advisories"]))
}
