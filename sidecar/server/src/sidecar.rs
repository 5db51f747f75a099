//! The parts put together: config, runtime, listeners and reports, from start to an orderly end.

use crate::audit::Logs;
use crate::config::Source;
use crate::http::{Limits, listen};
use crate::proxy::{self, Timeouts, Upstream};
use crate::report::{ReportPusher, ReportTarget};
use crate::runtime::{AppState, Linker, ModelReloader, WeightsHub, watch_memory};
use crate::{admin, chat, connections};
use personaguard_engine_link::{EngineLink, EngineSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time for requests to the admin socket to end when the sidecar stops.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// What a sidecar is made of.
#[derive(Debug)]
pub struct Setup {
    /// Where the config comes from.
    pub source: Source,
    /// Where weights are fetched from that are not there yet.
    pub weights: Option<WeightsHub>,
    /// Socket of the API, which also has health and metrics.
    pub api: TcpListener,
    /// Socket of health and metrics alone.
    pub admin: Option<TcpListener>,
    /// Where reports go.
    pub reports: Option<ReportTarget>,
    /// Who writes the answers, and where their scores come from.
    pub placement: Placement,
    /// Logs on disk.
    pub logs: Logs,
    /// Limits on requests.
    pub limits: Limits,
    /// Time for running requests to end when the sidecar stops.
    pub grace: Duration,
}

/// Who writes the answers, and where their scores come from.
#[derive(Debug)]
pub enum Placement {
    /// Our own engine does both.
    Serve,
    /// Another server writes, our own engine scores.
    Proxy(Upstream, Timeouts),
    /// Another server writes, and the plugin in it, which connects to this socket, scores.
    Engine(Upstream, Timeouts, EngineSocket),
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    app: Arc<AppState>,
    stop: CancellationToken,
    listeners: Vec<JoinHandle<()>>,
    stop_background: CancellationToken,
    background: Vec<JoinHandle<()>>,
}

impl Sidecar {
    /// Starts all parts. The sockets answer at once; the model is loaded meanwhile.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        let Setup { source, weights, api, admin, reports, placement, logs, limits, grace } = setup;
        let app = Arc::new(AppState::new(logs));
        let (stop, stop_background) = (CancellationToken::new(), CancellationToken::new());
        let proxies = !matches!(placement, Placement::Serve);
        let port = match &placement {
            Placement::Serve => None,
            Placement::Proxy(upstream, _) | Placement::Engine(upstream, ..) => upstream.port(),
        };
        let mut background =
            vec![tokio::spawn(watch_memory(Arc::clone(&app), stop_background.clone()))];
        let router = match &placement {
            Placement::Serve => chat::router(Arc::clone(&app), limits),
            Placement::Proxy(upstream, times) | Placement::Engine(upstream, times, _) => {
                proxy::router(Arc::clone(&app), limits, upstream, *times)
            }
        };
        match placement {
            Placement::Serve | Placement::Proxy(..) => {
                let reloader = ModelReloader::new(Arc::clone(&app), source, weights);
                background.push(tokio::spawn(reloader.run(stop_background.clone())));
            }
            Placement::Engine(_, _, socket) => {
                let link = Arc::new(EngineLink::default());
                let linker = Linker::new(Arc::clone(&app), Arc::clone(&link), source);
                background.push(tokio::spawn(linker.run(stop_background.clone())));
                let counts = Arc::clone(&app);
                let on_counted = move |foreign, dropped| counts.passed_by(foreign, dropped);
                let serve = socket.serve(link, on_counted, stop_background.clone());
                background.push(tokio::spawn(serve));
            }
        }
        let mut listeners = vec![tokio::spawn(listen(api, router, limits, stop.clone(), grace))];
        if let Some(admin) = admin {
            let router = admin::router(Arc::clone(&app), proxies);
            let listen = listen(admin, router, limits, stop.clone(), ADMIN_GRACE);
            listeners.push(tokio::spawn(listen));
        }
        if let Some(target) = reports {
            let pusher = reports_of(&app, target);
            background.push(tokio::spawn(pusher.run(stop_background.clone())));
            let (counts, ledger) = (Arc::clone(&app.connections), Arc::clone(&app.ledger));
            let notify = move || ledger.notify();
            let watch = connections::watch(counts, port, notify, stop_background.clone());
            background.push(tokio::spawn(watch));
        }
        Self { app, stop, listeners, stop_background, background }
    }

    /// What its parts share.
    #[must_use]
    pub fn app(&self) -> &Arc<AppState> {
        &self.app
    }

    /// Takes no more requests, lets the running ones end, and pushes a last report.
    pub async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has nothing left to wait for.
        for task in self.listeners {
            let _ = task.await;
        }
        self.stop_background.cancel();
        for task in self.background {
            let _ = task.await;
        }
        self.app.logs.close();
    }
}

fn reports_of(app: &Arc<AppState>, target: ReportTarget) -> ReportPusher {
    let (ledger, metrics) = (Arc::clone(&app.ledger), Arc::clone(&app.metrics));
    let app = Arc::clone(app);
    let key = Arc::clone(&app.key);
    ReportPusher::new(move || app.report(), ledger, metrics, target, key)
}
