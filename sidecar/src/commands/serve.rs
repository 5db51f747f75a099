//! `personaguard serve`.

use crate::args::HubArgs;
use crate::vllm_plugin;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use personaguard_engine_link::EngineSocket;
use personaguard_hub::Wanted;
use personaguard_ops::listen;
use personaguard_server::audit::{self, Log, Logs};
use personaguard_server::config::Source;
use personaguard_server::http::Limits;
use personaguard_server::proxy::{Timeouts, Upstream};
use personaguard_server::report::ReportTarget;
use personaguard_server::runtime::WeightsHub;
use personaguard_server::sidecar::{Placement, Setup, Sidecar};
use personaguard_server::telemetry::{self, init_logs, traces};
use personaguard_terms::names;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serve a model with the OpenAI API, under the policies of a config folder.
///
/// The folder is either the one that the operator mounts (config.yaml, vectors.safetensors), or one
/// of plain manifests: the very files for `kubectl apply` (one PersonaModel, its PersonaVectors and
/// PersonaPolicies) with the vector files beside them. Changes apply while it runs. The model is
/// loaded in the background: /readyz says when it is ready, and why it is not.
///
/// Without a cluster:
///
///   personaguard serve --config ./policy --model ./SmolLM2-135M-Instruct.Q4_1.gguf \
///     --log-format text
///   OPENAI_BASE_URL=http://127.0.0.1:8790/v1 python my_app.py
///
/// In front of another server of the same model:
///
///   personaguard serve --config ./policy --model ./model.gguf --upstream http://127.0.0.1:8000 \
///     --listen 0.0.0.0:8790
///
/// In front of vLLM with the plugin personaguard-vllm, without weights of its own:
///
///   personaguard serve --config ./policy --upstream http://127.0.0.1:8000 \
///     --engine-socket /run/personaguard/engine.sock --listen 0.0.0.0:8790
///
/// `personaguard plugin --help` says how vLLM gets it.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Forward requests to this OpenAI-compatible server (http://HOST:PORT) instead of serving the
    /// model. Answers are scored with the model of the config. Every action works, except those
    /// that change activations.
    #[arg(long, env = "PERSONAGUARD_UPSTREAM", value_name = "URL")]
    upstream: Option<Upstream>,
    /// With --upstream: the server is vLLM with the plugin personaguard-vllm, which connects to
    /// this Unix socket. It measures and steers its own answers; no weights are loaded here.
    #[arg(
        long,
        env = "PERSONAGUARD_ENGINE_SOCKET",
        value_name = "FILE",
        requires = "upstream",
        conflicts_with = "model"
    )]
    engine_socket: Option<PathBuf>,
    /// With --engine-socket: write the plugin to this folder before anything listens, for vLLM to
    /// find by PYTHONPATH, as `personaguard plugin` does.
    #[arg(long, env = "PERSONAGUARD_PLUGIN_DIR", value_name = "DIR", requires = "engine_socket")]
    plugin_dir: Option<PathBuf>,
    /// With --upstream: longest time in seconds without a byte from that server, after which the
    /// answer counts as failed.
    #[arg(
        long,
        env = "PERSONAGUARD_UPSTREAM_TIMEOUT_SECONDS",
        value_name = "N",
        default_value_t = Timeouts::default().upstream.as_secs()
    )]
    upstream_timeout_seconds: u64,
    /// With --upstream: longest time in seconds to score a piece of an answer, after which the
    /// failure policy decides.
    #[arg(
        long,
        env = "PERSONAGUARD_SCORE_DEADLINE_SECONDS",
        value_name = "N",
        default_value_t = Timeouts::default().score.as_secs()
    )]
    score_deadline_seconds: u64,
    /// Config folder.
    #[arg(long, env = "PERSONAGUARD_CONFIG", value_name = "DIR", default_value = names::CONFIG_DIR)]
    config: PathBuf,
    /// Weight file (GGUF) to serve in place of the one that the config names. Its SHA-256 must be
    /// the one in the config.
    #[arg(long, env = "PERSONAGUARD_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,
    /// Repository of a model hub, OWNER/NAME, from which the weights are fetched to where the
    /// config or --model says, unless they are there: see `personaguard fetch`.
    #[arg(
        long,
        env = names::HUB_REPO_ENV,
        value_name = "REPO",
        requires = "hub_revision",
        help_heading = "Model hub"
    )]
    hub_repo: Option<String>,
    /// Commit, branch or tag of that repository.
    #[arg(
        long,
        env = names::HUB_REVISION_ENV,
        value_name = "NAME",
        help_heading = "Model hub"
    )]
    hub_revision: Option<String>,
    /// GGUF file of that repository. Default: its folder.
    #[arg(long, env = names::HUB_FILE_ENV, value_name = "FILE", help_heading = "Model hub")]
    hub_file: Option<String>,
    #[command(flatten)]
    hub: HubArgs,
    /// Address of the API: /v1/chat/completions, /v1/models, /healthz, /readyz, /metrics.
    #[arg(long, env = "PERSONAGUARD_LISTEN", value_name = "ADDR", default_value_t = loopback())]
    listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics alone, for probes and scrapes from outside the
    /// pod. Default: none.
    #[arg(long, env = "PERSONAGUARD_ADMIN_LISTEN", value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// URL of the operator, to push reports to. Default: no reports.
    #[arg(long, env = "PERSONAGUARD_REPORT_URL", value_name = "URL")]
    report_url: Option<String>,
    /// File with the token to push reports with; it is read for each push.
    #[arg(long, env = "PERSONAGUARD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the labels of this pod, as the downward API writes them. Only policies that select
    /// them are enforced. Default: all policies are.
    #[arg(long, env = "PERSONAGUARD_POD_LABELS", value_name = "FILE")]
    pod_labels: Option<PathBuf>,
    /// Identity of the model that this pod was made for, as the operator gives it. Default: that of
    /// the config.
    #[arg(long, env = names::MODEL_IDENTITY_ENV, value_name = "IDENTITY")]
    model_identity: Option<String>,
    /// OTLP endpoint for traces, such as http://collector:4318. Default: as OpenTelemetry's own
    /// variables say (OTEL_EXPORTER_OTLP_ENDPOINT and others), or no traces.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// File for the audit log: scores, decisions, policies and digests of every response, without
    /// its text, as hash-chained JSON lines (see `personaguard audit verify`). Default: no log.
    #[arg(long, env = "PERSONAGUARD_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,
    /// File for the conversations, word for word, of policies with `recordConversations: true` (see
    /// `personaguard replay`). Default: no log, whatever a policy says.
    #[arg(long, env = "PERSONAGUARD_CONVERSATION_LOG", value_name = "FILE")]
    conversation_log: Option<PathBuf>,
    /// Size of a log file in bytes, at which it is rotated.
    #[arg(
        long,
        env = "PERSONAGUARD_LOG_FILE_BYTES",
        value_name = "N",
        default_value_t = audit::LogLimits::default().file_bytes
    )]
    log_file_bytes: u64,
    /// Files to keep of each log; the oldest is removed.
    #[arg(
        long,
        env = "PERSONAGUARD_LOG_FILES",
        value_name = "N",
        default_value_t = audit::LogLimits::default().files
    )]
    log_files: usize,
    /// Log format. RUST_LOG sets the level.
    #[arg(long, env = "PERSONAGUARD_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Size of the largest request body in bytes.
    #[arg(
        long,
        env = "PERSONAGUARD_MAX_BODY_BYTES",
        value_name = "N",
        default_value_t = Limits::default().body_bytes
    )]
    max_body_bytes: usize,
    /// Number of concurrent connections. At the limit, a new connection replaces the one that has
    /// waited longest for its client.
    #[arg(
        long,
        env = "PERSONAGUARD_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = Limits::default().connections
    )]
    max_connections: usize,
    /// Seconds that running requests have to finish after SIGTERM.
    #[arg(long, env = "PERSONAGUARD_GRACE_SECONDS", value_name = "N", default_value_t = 25)]
    grace_seconds: u64,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl From<LogFormat> for telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text,
        }
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], names::API_PORT))
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If an address cannot be bound, or a log cannot be opened. An invalid config or missing weights
/// are no error, because they may be corrected while it runs.
pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let traces = traces::from_environment(options.otlp_endpoint.as_deref());
    init_logs(options.log_format.into(), Some(&traces));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Some(folder) = &options.plugin_dir {
        let placed = vllm_plugin::write(folder)?;
        tracing::info!(folder = %folder.display(), ?placed, "the plugin for vLLM is in place");
    }
    let admin = match options.admin_listen {
        Some(address) => Some(bind(address, "--admin-listen")?),
        None => None,
    };
    let limits = audit::LogLimits { file_bytes: options.log_file_bytes, files: options.log_files };
    let log = |path: Option<&PathBuf>| path.map(|path| Log::open(path, limits)).transpose();
    let logs = Logs {
        audit: log(options.audit_log.as_ref())?,
        conversations: log(options.conversation_log.as_ref())?,
    };
    let weights = weights_hub(&options)?;
    let times = Timeouts {
        upstream: Duration::from_secs(options.upstream_timeout_seconds),
        score: Duration::from_secs(options.score_deadline_seconds),
    };
    let placement = match (options.upstream, options.engine_socket) {
        (None, _) => Placement::Serve,
        (Some(upstream), None) => Placement::Proxy(upstream, times),
        (Some(upstream), Some(path)) => {
            Placement::Engine(upstream, times, EngineSocket::bind(&path)?)
        }
    };
    let setup = Setup {
        source: Source {
            folder: options.config.clone(),
            model_file: options.model,
            labels: options.pod_labels,
            identity: options.model_identity.filter(|identity| !identity.is_empty()),
        },
        weights,
        api: bind(options.listen, "--listen")?,
        admin,
        reports: options.report_url.filter(|url| !url.is_empty()).map(|url| ReportTarget {
            url,
            token_file: options.token_file,
            ca_file: options.config.join(names::CA_FILE),
        }),
        placement,
        limits: Limits {
            body_bytes: options.max_body_bytes,
            connections: options.max_connections,
            ..Limits::default()
        },
        logs,
        grace: Duration::from_secs(options.grace_seconds),
    };
    tracing::info!(
        listen = %options.listen,
        config = %options.config.display(),
        version = env!("CARGO_PKG_VERSION"),
        "started"
    );
    let sidecar = Sidecar::start(setup);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: no new requests are accepted, running ones may finish");
    sidecar.stop().await;
    if let Some(exporter) = traces.exporter {
        // Waits for the exporter, which runs on this runtime.
        let _ = tokio::task::spawn_blocking(move || exporter.shutdown()).await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn weights_hub(options: &Options) -> anyhow::Result<Option<WeightsHub>> {
    let (Some(repo), Some(revision)) = (&options.hub_repo, &options.hub_revision) else {
        return Ok(None);
    };
    let wanted = Wanted::new(repo, revision, options.hub_file.as_deref())?;
    let max_bytes = options.hub.max_bytes();
    Ok(Some(WeightsHub { hub: options.hub.hub()?, wanted, max_bytes }))
}

fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen::bind(address)
        .and_then(TcpListener::from_std)
        .with_context(|| format!("{flag} {address} cannot be bound: choose another address"))
}
