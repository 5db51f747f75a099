//! The operator process: it waits for the Lease, leads, and ends when it loses the Lease.

mod leading;

use crate::admin::{self, Ready};
use crate::context::{Cluster, Context, Events, Fence, Metrics, Queue, Stores};
use crate::leader::{Elector, label_leader};
use crate::settings::Settings;
use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use leading::lead;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(client: Client, settings: Settings) -> Result<()> {
    let metrics = Arc::new(Metrics::new());
    let ready = Ready::default();
    admin::serve(settings.admin_listen, Arc::clone(&metrics), ready.clone()).await?;
    let namespace = settings.installation.namespace.clone();
    let me = settings.pod_name.clone().unwrap_or_else(|| format!("pid-{}", std::process::id()));
    label_leader(&client, &settings, false).await?;
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
    let context = context(settings, client.clone(), fence, me, Arc::clone(&metrics));
    let result = tokio::select! {
        lost = elector.hold(&metrics) => Err(lost.into()),
        result = lead(Arc::clone(&context), &ready) => result,
        () = terminated() => Ok(()),
    };
    ready.set(false);
    if result.is_ok() {
        label_leader(&client, &context.settings, false).await.ok();
        elector.release().await;
    }
    result
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
        cluster: Cluster::new(client.clone(), fence.clone()),
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
