//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use personaguard_api::Resources;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The page of runbooks in Personaguard's own docs.
const RUNBOOKS: &str = "https://personaguard.dev/docs/runbooks.html";
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Guards chat services according to PersonaPolicies.
///
/// The operator watches PersonaPolicies, PersonaModels and PersonaVectors, and writes what sidecars
/// enforce: a ConfigMap and a PersonaInjection per model and namespace. It receives the sidecars'
/// reports over HTTPS and shows what they saw in conditions, Events and PersonaReports. Only the
/// sidecar's image must be given. The API server is found through the pod's ServiceAccount inside a
/// cluster, and through KUBECONFIG outside. Several replicas may run: one holds the Lease and
/// leads, the others stand by. Guarded traffic depends on none of them.
#[derive(Debug, Parser)]
#[command(name = "personaguard-operator", version, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Parses a command line. Options without a command are those of `run`.
    pub(crate) fn from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut line: Vec<OsString> = line.into_iter().collect();
        let first = line.get(1).and_then(|argument| argument.to_str());
        let of_run = first.is_none_or(|first| {
            first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first)
        });
        if of_run {
            line.insert(1.min(line.len()), "run".into());
        }
        Self::try_parse_from(line)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the operator. The word `run` may be omitted.
    Run(Box<Settings>),
    /// Check that the cluster has everything Personaguard needs, and exit.
    ///
    /// That is: an API server with MutatingAdmissionPolicy v1 (Kubernetes 1.36), the injection
    /// policy and its binding, Personaguard's kinds, and an operator that leads. Prints a line for
    /// each. The exit status is 1 if something is missing.
    Check(Installation),
    /// Remove what only the operator can remove, before it is uninstalled, and exit.
    ///
    /// Scales the operator's Deployment to 0, waits for its Lease, and removes the finalizer
    /// `personaguard.dev/withdraw` from every PersonaPolicy, without which a namespace with a
    /// policy could not end. Policies stay, and so do running sidecars with their configs. The
    /// chart runs it before `helm uninstall`.
    Uninstall(Installation),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Installation {
    /// Namespace of the operator. It holds the Lease, the certificates, and vector files whose
    /// namespace is not given.
    #[arg(long, env = "POD_NAMESPACE", default_value = "personaguard-system")]
    pub(crate) namespace: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) installation: Installation,
    /// Name of the operator's own pod. The leader labels it, so that the reports Service selects
    /// it. Without a name (outside a cluster) no label is set.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod_name: Option<String>,
    /// Image of the sidecar that the API server injects into guarded pods.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_IMAGE")]
    pub(crate) sidecar_image: String,
    /// When the kubelet pulls that image.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub(crate) sidecar_image_pull_policy: PullPolicy,
    /// Requests and limits of sidecars whose PersonaModel has no spec.runtime.resources, as JSON.
    /// Example: {"requests": {"cpu": "50m", "memory": "128Mi"}}.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_RESOURCES", value_parser = resources)]
    pub(crate) sidecar_resources: Option<Resources>,
    /// OTLP/HTTP endpoint for the sidecars' traces. Example:
    /// http://otel-collector.monitoring.svc:4318.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_OTLP_ENDPOINT")]
    pub(crate) sidecar_otlp_endpoint: Option<String>,
    /// Further variable of OpenTelemetry for the sidecars, as NAME=VALUE; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) sidecar_otel: Vec<(String, String)>,
    /// Secret that the sidecar's image is pulled with in Jobs; may be repeated. The admission
    /// policy names it in guarded pods.
    #[arg(long = "sidecar-image-pull-secret", value_name = "NAME")]
    pub(crate) sidecar_image_pull_secrets: Vec<String>,
    /// User and group of sidecars and Jobs, or `platform`: ids are not set, for platforms that
    /// assign them to each namespace.
    #[arg(long, env = "PERSONAGUARD_RUN_AS_USER", value_name = "ID", default_value = "65532")]
    pub(crate) run_as_user: RunAsUser,
    /// Host name under which sidecars reach this operator. It is also in its certificate. Default:
    /// personaguard-reports.NAMESPACE.svc.
    #[arg(long, env = "PERSONAGUARD_REPORT_HOST")]
    pub(crate) report_host: Option<String>,
    /// Address on which the leader receives reports (HTTPS). `[::]` is every address, of IPv4 too.
    #[arg(long, env = "PERSONAGUARD_REPORTS_LISTEN", default_value = "[::]:8443")]
    pub(crate) reports_listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics (HTTP).
    #[arg(long, env = "PERSONAGUARD_ADMIN_LISTEN", default_value = "[::]:8080")]
    pub(crate) admin_listen: SocketAddr,
    /// Alertmanager that receives breaches and drift (API v2), where no Prometheus evaluates the
    /// chart's rules. Example: http://alertmanager.monitoring.svc:9093.
    #[arg(long, env = "PERSONAGUARD_ALERTMANAGER_URL")]
    pub(crate) alertmanager_url: Option<String>,
    /// Folder with what that Alertmanager asks for, in any of these files: `username` and
    /// `password`, or `token`; `ca.crt`; `tls.crt` and `tls.key`. They are read again for each
    /// delivery.
    #[arg(long, env = "PERSONAGUARD_ALERTMANAGER_SECRETS", value_name = "DIR")]
    pub(crate) alertmanager_secrets: Option<PathBuf>,
    /// URL that receives breaches and drift when they begin and when they end, as one JSON object
    /// each, signed as https://www.standardwebhooks.com specifies. Example:
    /// https://hooks.example.com/personaguard.
    #[arg(long, env = "PERSONAGUARD_ALERT_WEBHOOK_URL", requires = "alert_webhook_secret_file")]
    pub(crate) alert_webhook_url: Option<String>,
    /// File with the signing secret: at least 24 bytes, or `whsec_` followed by base64. It is read
    /// again for each delivery.
    #[arg(long, env = "PERSONAGUARD_ALERT_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub(crate) alert_webhook_secret_file: Option<PathBuf>,
    /// Label of the alerts that the operator itself sends, as NAME=VALUE; may be repeated.
    #[arg(long = "alert-label", value_name = "NAME=VALUE", value_parser = alert_label)]
    pub(crate) alert_labels: Vec<(&'static str, String)>,
    /// Address of docs/runbooks.md. Alerts that the operator itself sends link to its headings.
    #[arg(long, env = "PERSONAGUARD_RUNBOOK_URL", default_value = RUNBOOKS)]
    pub(crate) runbook_url: String,
    /// OTLP endpoint for the operator's own traces. Default: as OpenTelemetry's own variables say
    /// (OTEL_EXPORTER_OTLP_ENDPOINT and others), or no traces.
    #[arg(long)]
    pub(crate) otlp_endpoint: Option<String>,
    /// Log format. RUST_LOG sets the levels; the default is info.
    #[arg(long, env = "PERSONAGUARD_LOG_FORMAT", default_value = "json")]
    pub(crate) log_format: LogFormat,
}

fn resources(text: &str) -> serde_json::Result<Resources> {
    serde_json::from_str(text)
}

impl Settings {
    /// Host name of the reports Service.
    pub(crate) fn report_host(&self) -> String {
        let default = || format!("personaguard-reports.{}.svc", self.installation.namespace);
        self.report_host.clone().unwrap_or_else(default)
    }

    /// The sidecars' variables of OpenTelemetry, but for an endpoint that has an option of its own.
    pub(crate) fn sidecar_otel(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.sidecar_otlp_endpoint.as_ref().map(|_| OTLP_ENDPOINT);
        let pairs = self.sidecar_otel.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(move |(name, _)| Some(*name) != named)
    }
}

/// The user and group that containers run as; none: whatever the platform or the image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunAsUser(pub(crate) Option<u32>);

impl FromStr for RunAsUser {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "platform" => Ok(Self(None)),
            Ok(0) => Err("0 is root: sidecars and Jobs run without its rights"),
            Ok(user) => Ok(Self(Some(user))),
            Err(_) => Err("neither a user id nor `platform`"),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("no NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn alert_label(text: &str) -> Result<(&'static str, String), &'static str> {
    let (name, value) = pair(text)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(word)
    {
        return Err("a label's name has letters, digits and _ only, and begins with no digit");
    }
    // The others' names are static, and settings live as long as the process.
    Ok((name.leak(), value))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For humans.
    Text,
}

#[cfg(test)]
mod tests;
