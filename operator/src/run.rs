//! The operator process: it waits for the Lease, leads, and ends when it loses the Lease.

mod leading;

use crate::admin::{self, Ready};
use crate::context::{
    ApiHealth, Cluster, Context, Events, Fence, Metrics, Queue, Stores, election_client,
    fenced_client,
};
use crate::keys::Key;
use crate::leader::{Elector, label_leader};
use crate::settings::Settings;
use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use leading::lead;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// A key that waits for so long shows that the workers do not work.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

pub(crate) async fn run(config: Config, settings: Settings) -> Result<()> {
    let client = election_client(config.clone())?;
    let metrics = Arc::new(Metrics::new());
    let ready = Ready::default();
    admin::serve(settings.admin_listen, Arc::clone(&metrics), ready.clone())?;
    let namespace = settings.installation.namespace.clone();
    let me = settings.pod_name.clone().unwrap_or_else(|| format!("pid-{}", std::process::id()));
    if let Err(error) = label_leader(&client, &settings, false).await {
        let error = format!("{error:#}");
        tracing::warn!(error, "the leader's label could not be removed from our own pod");
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let mut elector = Elector::new(leases, me.clone());
    // An operator that stands by does everything it should.
    ready.set(true);
    tracing::info!(me, namespace, "waiting for the Lease");
    tokio::select! {
        () = elector.acquire() => {}
        () = terminated() => return Ok(()),
    }
    ready.set(false);
    tracing::info!(me, "leading");
    let fence = elector.fence();
    let health = ApiHealth::default();
    let fenced = fenced_client(config, fence.clone(), health.clone())?;
    let context = context(settings, fenced, fence, me, Arc::clone(&metrics));
    let stuck = || stuck(&health, &context.queue);
    let result = tokio::select! {
        lost = elector.hold(&metrics, stuck) => Err(lost.into()),
        result = lead(Arc::clone(&context), &ready) => result,
        () = terminated() => Ok(()),
    };
    ready.set(false);
    if result.is_ok() {
        label_leader(&client, &context.settings, false).await.ok();
    }
    // Whatever it ended for: the next leader need not wait. Nothing happens if the Lease is lost.
    elector.release().await;
    result
}

/// Why this process does no work though it holds the Lease, if it does none.
fn stuck(health: &ApiHealth, queue: &Queue<Key>) -> Option<String> {
    if let Some(stalled) = health.stalled() {
        let seconds = stalled.as_secs();
        return Some(format!("the API server has answered no request of one sort for {seconds} s"));
    }
    let waiting = queue.longest_wait().filter(|waiting| *waiting > LONGEST_WAIT)?;
    Some(format!("work has been waiting for {} s", waiting.as_secs()))
}

fn context(
    settings: Settings,
    client: Client,
    fence: Fence,
    me: String,
    metrics: Arc<Metrics>,
) -> Arc<Context> {
    Arc::new(Context {
        settings: Arc::new(settings),
        cluster: Cluster::new(client.clone(), fence.clone(), Arc::clone(&metrics)),
        stores: Stores::default(),
        queue: Queue::new(),
        events: Events::new(client, me, fence),
        metrics,
    })
}

async fn terminated() {
    let mut signals = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        // Without handlers the signals end the process themselves.
        _ => return std::future::pending().await,
    };
    tokio::select! {
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
    tracing::info!("a signal asks the operator to end");
}
