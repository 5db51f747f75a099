//! The developer commands: `cargo xtask --help`.

mod bench_peer;
mod check_cuda;
mod check_gpu;
mod clients;
mod cluster;
#[cfg(test)]
mod crdgen;
mod debian;
mod demo;
mod docs;
mod files;
mod fuzz;
mod images;
mod kube;
mod llama_server;
mod model;
mod progress;
mod python;
mod structure;
mod test;
#[cfg(test)]
mod tests;
mod tools;
mod vectors;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer commands of Personaguard.
///
/// On a fresh Debian machine with Rust, Go, Python 3 and root, `cargo xtask demo` shows everything
/// on a local cluster, and `cargo xtask test` runs every test. Both install what is missing
/// (Debian, Go and Python packages) and announce it first. What they download and build stays in
/// ~/.cache/personaguard ($PERSONAGUARD_CACHE).
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Options),
    Test(test::Options),
    #[command(subcommand)]
    Cluster(cluster::Command),
    Image(images::Options),
    BenchPeer(bench_peer::Options),
    CheckCuda(check_cuda::Options),
    CheckGpu(check_gpu::Options),
    Clients(clients::Options),
    Docs(docs::Options),
    Structure(structure::Options),
    Fuzz(fuzz::Options),
    /// Generate the CRDs' YAML from the Rust types, into crds/yaml and the chart.
    Crdgen {
        /// Write nothing; fail if something would change.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Cluster(command) => cluster::run(command),
        Command::Image(options) => images::run(&options),
        Command::BenchPeer(options) => bench_peer::measure(&options),
        Command::CheckCuda(options) => check_cuda::check(&options),
        Command::CheckGpu(options) => check_gpu::check(options),
        Command::Clients(options) => clients::check(&options),
        Command::Docs(options) => docs::run(&options),
        Command::Structure(options) => structure::check(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        // A separate program, so that this one compiles without the Kubernetes types.
        Command::Crdgen { check } => {
            let example =
                ["run", "--quiet", "--release", "--package", "xtask", "--example", "crdgen", "--"];
            workspace::show(workspace::cargo().args(example).args(check.then_some("--check")))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
