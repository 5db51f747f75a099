//! The operator: reconciles persona policies into guarded pods.

mod admin;
mod alerts;
mod artefact;
mod cache;
mod certs;
mod check;
mod cluster;
mod conditions;
mod context;
mod events;
mod fleet;
mod jobs;
mod leader;
mod metrics;
mod model;
mod pod_parts;
mod pods;
mod policy;
mod queue;
mod reconcile;
mod screen;
mod services;
mod settings;
mod telemetry;
mod vector;
mod watches;

use anyhow::{Context as _, Result, bail};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use cluster::Cluster;
use context::{Context, World};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use leader::{Elector, Fence};
use metrics::Metrics;
use personaguard_api::names;
use serde_json::json;
use settings::{Arguments, Command, Settings};
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match arguments.command {
        Command::Check(place) => check(&place.namespace).await,
        Command::Run(settings) => run(*settings).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            eprintln!("personaguard-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check(namespace: &str) -> Result<()> {
    check::run(client().await?, namespace).await
}

async fn client() -> Result<Client> {
    Client::try_default().await.context(
        "the API server cannot be reached: inside a cluster the pod needs a ServiceAccount, outside set KUBECONFIG",
    )
}

async fn run(settings: Settings) -> Result<()> {
    let traces = telemetry::init(settings.log_format, settings.otlp_endpoint.as_deref())?;
    let result = lead(settings).await;
    if let Some(traces) = traces
        && let Err(error) = traces.shutdown()
    {
        tracing::warn!(%error, "the last spans were not sent");
    }
    result
}

async fn terminated() {
    let mut signals = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        // Without handlers the signals end the process by themselves.
        _ => return std::future::pending().await,
    };
    tokio::select! {
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
    tracing::info!("asked to end");
}

/// Waits for the Lease, leads, and ends when the Lease is lost.
async fn lead(settings: Settings) -> Result<()> {
    let metrics = Arc::new(Metrics::new());
    let ready = admin::Ready::default();
    admin::serve(settings.admin_listen, Arc::clone(&metrics), ready.clone()).await?;
    let client = client().await?;
    let namespace = settings.place.namespace.clone();
    let me = settings.pod_name.clone().unwrap_or_else(|| format!("pid-{}", std::process::id()));
    label(&client, &settings, false).await?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let mut elector = Elector::new(leases, me.clone());
    // Standing by is all that is asked of an operator that does not lead.
    ready.set(true);
    tracing::info!(me, namespace, "waiting to lead");
    tokio::select! {
        () = elector.acquire() => {}
        () = terminated() => return Ok(()),
    }
    ready.set(false);
    tracing::info!(me, "leading");
    let fence = elector.fence();
    let context = context(settings, client.clone(), fence, &me, Arc::clone(&metrics));
    let result = tokio::select! {
        lost = elector.hold(&metrics) => Err(lost.into()),
        result = work(Arc::clone(&context), &ready) => result,
        () = terminated() => Ok(()),
    };
    ready.set(false);
    if result.is_ok() {
        label(&client, &context.settings, false).await.ok();
        elector.release().await;
    }
    result
}

fn context(
    settings: Settings,
    client: Client,
    fence: Fence,
    me: &str,
    metrics: Arc<Metrics>,
) -> Arc<Context> {
    let namespace = settings.place.namespace.clone();
    Arc::new(Context {
        cluster: Cluster::new(client.clone(), fence.clone()),
        world: World::default(),
        queue: queue::Queue::new(),
        fleet: fleet::Fleet::default(),
        artefacts: artefact::Artefacts::new(client.clone(), namespace),
        extractions: vector::extraction::Extractions::default(),
        events: events::Events::new(client, me.to_owned(), fence),
        alerts: alerts::Alerts::new(&settings),
        metrics,
        withdrawals: policy::Withdrawals::default(),
        authorities: RwLock::default(),
        settings,
    })
}

/// Everything that the leader does. The order matters: certificates before configs that carry their
/// authority, caches before anything is concluded from them, counts of the leader before before new
/// ones are taken.
async fn work(context: Arc<Context>, ready: &admin::Ready) -> Result<()> {
    let mut tasks = JoinSet::new();
    watches::start(&context, &mut tasks);
    let serving = RustlsConfig::from_config(empty());
    let renewal = certs::keep(&context, &serving).await?;
    watches::ready(&context.world).await;
    watches::catch_up(&context);
    tasks.spawn(reconcile::run(Arc::clone(&context)));
    tasks.spawn(renew(Arc::clone(&context), serving.clone(), renewal));
    tasks.spawn(alerts::run(Arc::clone(&context)));
    let handle = Handle::new();
    let server =
        axum_server::bind_rustls(context.settings.reports_listen, serving).handle(handle.clone());
    let router = fleet::intake::router(Arc::clone(&context)).into_make_service();
    let mut server = tokio::spawn(server.serve(router));
    if handle.listening().await.is_none() {
        (&mut server).await?.context("reports cannot be taken: --reports-listen")?;
    }
    label(&context.cluster.client, &context.settings, true).await?;
    ready.set(true);
    tracing::info!(address = %context.settings.reports_listen, "taking reports");
    tokio::select! {
        result = server => bail!("the report server ended: {result:?}"),
        result = tasks.join_next() => bail!("a task ended: {result:?}"),
    }
}

/// A server without a certificate refuses every handshake.
fn empty() -> Arc<rustls::ServerConfig> {
    let resolver = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
    Arc::new(rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver))
}

async fn renew(context: Arc<Context>, serving: RustlsConfig, first: Duration) {
    let mut wait = first;
    loop {
        tokio::time::sleep(wait).await;
        wait = match certs::keep(&context, &serving).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "certificates could not be renewed; trying again"
                );
                Duration::from_secs(30)
            }
        };
    }
}

/// Puts the leader's label on the own pod, or takes it away. Also from other pods: an operator that
/// was cut off may not have been able to.
async fn label(client: &Client, settings: &Settings, leads: bool) -> Result<()> {
    let Some(me) = &settings.pod_name else { return Ok(()) };
    let api: Api<Pod> = Api::namespaced(client.clone(), &settings.place.namespace);
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let labelled =
        kube::api::ListParams::default().labels(&format!("{}=true", names::LEADER_LABEL));
    let labelled: Vec<String> =
        api.list_metadata(&labelled).await?.items.iter().map(kube::ResourceExt::name_any).collect();
    for name in labelled.iter().filter(|name| if leads { *name != me } else { *name == me }) {
        let patch = json!({ "metadata": { "labels": { names::LEADER_LABEL: null } } });
        match api.patch(name, &params, &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            result => {
                result.context("taking the leader's label from a pod")?;
            }
        }
    }
    if leads && !labelled.contains(me) {
        let patch = json!({ "metadata": { "labels": { names::LEADER_LABEL: "true" } } });
        api.patch(me, &params, &Patch::Merge(&patch)).await.context("labelling the own pod")?;
    }
    Ok(())
}
