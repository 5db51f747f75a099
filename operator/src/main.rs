//! The operator: reconciles persona policies into guarded pods.

mod admin;
mod alerts;
mod certs;
mod check;
mod context;
#[cfg(test)]
mod fixtures;
mod fleet;
mod informers;
mod ingest;
mod keys;
mod leader;
mod model;
mod objects;
mod outcome;
mod policy;
mod run;
mod screen;
mod settings;
mod telemetry;
mod uninstall;
mod unreadable;
mod vector;
mod workers;

use anyhow::{Context as _, Result};
use kube::{Client, Config};
use settings::{Arguments, Command, Settings};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::from_line(std::env::args_os()).unwrap_or_else(|error| error.exit());
    // Fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match execute(arguments.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator failed");
            eprintln!("personaguard-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> Result<()> {
    match command {
        Command::Check(installation) => {
            check::run(Client::try_from(config().await?)?, &installation.namespace).await
        }
        Command::Uninstall(installation) => {
            uninstall::run(config().await?, &installation.namespace).await
        }
        Command::Run(settings) => run_traced(*settings).await,
    }
}

async fn run_traced(settings: Settings) -> Result<()> {
    let traces = telemetry::init(&settings);
    let result = async { run::run(config().await?, settings).await }.await;
    if let Some(exporter) = traces.exporter {
        // Waits for the exporter, which runs on this runtime.
        let _ = tokio::task::spawn_blocking(move || exporter.shutdown()).await;
    }
    result
}

async fn config() -> Result<Config> {
    Config::infer().await.context(
        "the API server cannot be reached: inside a cluster the pod needs a ServiceAccount, \
         outside set KUBECONFIG",
    )
}
