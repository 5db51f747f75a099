//! What the leader runs: informers, workers, the report server, alerts, and the renewal of
//! certificates.

use crate::admin::Ready;
use crate::certs::{self, Renewal, TrustBundle};
use crate::context::Context;
use crate::fleet::{self, Fleet};
use crate::informers::{self, Triggers};
use crate::ingest::{self, Connections, Ingest};
use crate::leader::label_leader;
use crate::vector::{self, ArtifactCache};
use crate::workers::Workers;
use crate::{alerts, policy, screen};
use anyhow::{Context as _, Result, bail};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use personaguard_ops::listen;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

/// Between attempts to label the leader's pod.
const LABEL_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Runs until something fails. The order matters: certificates are ready before configs carry their
/// authority, stores are synced before anything follows from them, and the counts of the former
/// leader are restored before new ones arrive.
pub(crate) async fn lead(context: Arc<Context>, ready: &Ready) -> Result<()> {
    let fleet = Arc::new(Fleet::new(context.cluster.client.clone()));
    let triggers = Arc::new(Triggers { context: Arc::clone(&context), fleet: Arc::clone(&fleet) });
    let mut tasks = JoinSet::new();
    informers::start(&triggers, &mut tasks);
    let trust_bundle = TrustBundle::default();
    let tls = RustlsConfig::from_config(certs::without_certificate());
    let renewal = Renewal {
        context: Arc::clone(&context),
        tls: tls.clone(),
        trust_bundle: trust_bundle.clone(),
    };
    let next_renewal = renewal.try_renew().await;
    context.stores.synced().await;
    informers::catch_up(&triggers);
    let workers = workers(&context, &fleet, &trust_bundle);
    let vectors = Arc::clone(&workers.vectors);
    tasks.spawn(workers.run());
    tasks.spawn(renewal.run(next_renewal));
    tasks.spawn(alerts::run(Arc::clone(&context), Arc::clone(&fleet)));
    let connections = Connections::default();
    let ingest = Ingest { context: Arc::clone(&context), fleet, vectors, connections };
    let server = serve(ingest, tls).await?;
    tasks.spawn(keep_labelled(Arc::clone(&context)));
    ready.set(true);
    tracing::info!(address = %context.settings.reports_listen, "receiving reports");
    tokio::select! {
        result = server => bail!("the report server ended: {result:?}"),
        result = tasks.join_next() => bail!("a task ended: {result:?}"),
    }
}

fn workers(context: &Arc<Context>, fleet: &Arc<Fleet>, trust_bundle: &TrustBundle) -> Workers {
    let (client, namespace) =
        (context.cluster.client.clone(), context.settings.installation.namespace.clone());
    let artifacts = Arc::new(ArtifactCache::new(client, namespace));
    let context = || Arc::clone(context);
    let fleet = || Arc::clone(fleet);
    let cache = || Arc::clone(&artifacts);
    Workers {
        context: context(),
        fleet: fleet(),
        policies: policy::Controller::new(context(), cache(), fleet(), trust_bundle.clone()),
        vectors: Arc::new(vector::Controller::new(context(), cache(), trust_bundle.clone())),
        screens: screen::Controller::new(context(), cache()),
        reports: fleet::Controller::new(context(), fleet()),
    }
}

/// Labels the leader's pod. While that is refused, reports do not arrive, and all else goes on.
async fn keep_labelled(context: Arc<Context>) {
    while let Err(error) = label_leader(&context.cluster.client, &context.settings, true).await {
        let error = format!("{error:#}");
        tracing::warn!(error, "the leader's pod could not be labelled; retrying");
        tokio::time::sleep(LABEL_RETRY_INTERVAL).await;
    }
    std::future::pending::<()>().await;
}

/// Starts the report server.
async fn serve(ingest: Ingest, tls: RustlsConfig) -> Result<JoinHandle<io::Result<()>>> {
    let handle = Handle::new();
    let address = ingest.context.settings.reports_listen;
    let acceptor = RustlsAcceptor::new(tls).acceptor(ingest.connections.clone());
    let listener = listen::bind(address).context("cannot listen on --reports-listen")?;
    let server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone());
    let server = ingest::limited(server);
    let router = ingest::router(ingest)?.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = tokio::spawn(server.serve(router));
    if handle.listening().await.is_none() {
        (&mut server).await??;
    }
    Ok(server)
}
