//! The parts put together: config, host, listeners and reports, from start to orderly end.

use crate::audit::Logs;
use crate::config::Source;
use crate::host::{self, Host};
use crate::http::{Limits, listen};
use crate::proxy::{self, Timeouts, Upstream};
use crate::report::{Pusher, Target};
use crate::{admin, chat};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a sidecar is made of.
#[derive(Debug)]
pub struct Setup {
    /// Where the config comes from.
    pub source: Source,
    /// Socket of the API, which has health and metrics too.
    pub api: TcpListener,
    /// Socket of health and metrics alone.
    pub admin: Option<TcpListener>,
    /// Where reports go.
    pub reports: Option<Target>,
    /// In placement Proxy: the server behind this one.
    pub upstream: Option<(Upstream, Timeouts)>,
    /// Logs on disk.
    pub logs: Logs,
    /// Limits on requests.
    pub limits: Limits,
    /// Longest wait for requests that run when the sidecar is stopped.
    pub grace: Duration,
}

/// A sidecar that runs.
#[derive(Debug)]
pub struct Sidecar {
    host: Arc<Host>,
    stop: CancellationToken,
    serving: Vec<JoinHandle<()>>,
    background: CancellationToken,
    following: JoinHandle<()>,
    reporting: Option<JoinHandle<()>>,
}

impl Sidecar {
    /// Starts all parts. The sockets answer at once; the model is loaded meanwhile.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        let Setup { source, api, admin, reports, upstream, logs, limits, grace } = setup;
        let host = Arc::new(Host::new(logs));
        let (stop, background) = (CancellationToken::new(), CancellationToken::new());
        let proxies = upstream.is_some();
        let router = match upstream {
            None => chat::router(Arc::clone(&host), limits),
            Some((upstream, times)) => proxy::router(Arc::clone(&host), limits, &upstream, times),
        };
        let mut serving = vec![tokio::spawn(listen(api, router, limits, stop.clone(), grace))];
        if let Some(admin) = admin {
            let router = admin::router(Arc::clone(&host), proxies);
            // Health is to be seen until the end.
            serving.push(tokio::spawn(listen(
                admin,
                router,
                limits,
                stop.clone(),
                Duration::from_secs(1),
            )));
        }
        let following = tokio::spawn(host::run(Arc::clone(&host), source, background.clone()));
        let reporting = reports.map(|target| {
            tokio::spawn(Pusher::new(Arc::clone(&host), target).run(background.clone()))
        });
        Self { host, stop, serving, background, following, reporting }
    }

    /// What its parts share.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Takes no more requests, lets those that run end, and pushes a last report.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.serving {
            // A task that panicked has nothing left to wait for.
            let _ = task.await;
        }
        self.background.cancel();
        let _ = self.following.await;
        if let Some(task) = self.reporting {
            let _ = task.await;
        }
        self.host.logs.close();
    }
}
