//! What the operator is told at its start.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Guards chat services by the policies that people apply.
///
/// Watches PersonaPolicies, PersonaModels and PersonaVectors, writes what sidecars enforce (a
/// ConfigMap and a PersonaInjection for each model in a namespace), takes the sidecars' reports
/// over HTTPS and says in conditions, events and PersonaReports what they saw. Needs no arguments
/// but the sidecar's image; inside a cluster it finds the API server by itself, outside by
/// KUBECONFIG. Several may run: one leads, by a Lease, the others stand by. Guarded traffic does
/// not depend on any of them.
#[derive(Debug, Parser)]
#[command(name = "personaguard-operator", version, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Reads a command line; options without a command are those of `run`.
    pub(crate) fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
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
    /// Run the operator. The word `run` may be left out.
    Run(Box<Settings>),
    /// Look whether the cluster has all that Personaguard needs, say so in a sentence each, and
    /// exit.
    ///
    /// That is: an API server with MutatingAdmissionPolicy v1 (Kubernetes 1.36), the injection
    /// policy and its binding, the kinds of Personaguard, and an operator that leads. Exit status 1
    /// if something is missing.
    Check(Place),
}

/// Where the operator runs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Namespace of the operator: its Lease, its certificates, and vector files whose namespace is
    /// not given.
    #[arg(long, env = "POD_NAMESPACE", default_value = "personaguard-system")]
    pub(crate) namespace: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the operator's own pod; the leader labels it, so that the reports Service finds it.
    /// Without it (outside a cluster) no label is set.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod_name: Option<String>,
    /// Image of the sidecar that the API server puts into guarded pods.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_IMAGE")]
    pub(crate) sidecar_image: String,
    /// When the kubelet pulls that image.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub(crate) sidecar_image_pull_policy: PullPolicy,
    /// OTLP/HTTP endpoint to which sidecars send traces, for example
    /// http://otel-collector.monitoring.svc:4318.
    #[arg(long, env = "PERSONAGUARD_SIDECAR_OTLP_ENDPOINT")]
    pub(crate) sidecar_otlp_endpoint: Option<String>,
    /// Host name by which sidecars reach this operator; also in its certificate. Default:
    /// personaguard-reports.NAMESPACE.svc.
    #[arg(long, env = "PERSONAGUARD_REPORT_HOST")]
    pub(crate) report_host: Option<String>,
    /// Address on which the leader takes reports (HTTPS).
    #[arg(long, env = "PERSONAGUARD_REPORTS_LISTEN", default_value = "0.0.0.0:8443")]
    pub(crate) reports_listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics (HTTP).
    #[arg(long, env = "PERSONAGUARD_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub(crate) admin_listen: SocketAddr,
    /// Alertmanager to which breaches are sent (API v2), where no Prometheus evaluates the chart's
    /// rules: for example http://alertmanager.monitoring.svc:9093.
    #[arg(long, env = "PERSONAGUARD_ALERTMANAGER_URL")]
    pub(crate) alertmanager_url: Option<String>,
    /// URL to which breaches and drift are sent as they begin and as they end, one JSON object
    /// each, signed as https://www.standardwebhooks.com says: for example
    /// https://hooks.example.com/personaguard.
    #[arg(long, env = "PERSONAGUARD_ALERT_WEBHOOK_URL", requires = "alert_webhook_secret_file")]
    pub(crate) alert_webhook_url: Option<String>,
    /// File with the secret that signs them: 24 bytes or more, or `whsec_` and base64. Read anew
    /// for each delivery.
    #[arg(long, env = "PERSONAGUARD_ALERT_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub(crate) alert_webhook_secret_file: Option<PathBuf>,
    /// Where people find docs/runbooks.md; alerts that the operator itself sends link to its
    /// headings.
    #[arg(long, env = "PERSONAGUARD_RUNBOOK_URL", default_value = "docs/runbooks.md")]
    pub(crate) runbook_url: String,
    /// OTLP/HTTP endpoint to which the operator sends its own traces.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// How logs are written. Levels: RUST_LOG, default info.
    #[arg(long, env = "PERSONAGUARD_LOG_FORMAT", default_value = "json")]
    pub(crate) log_format: LogFormat,
}

impl Settings {
    /// Host name of the reports Service.
    pub(crate) fn report_host(&self) -> String {
        self.report_host
            .clone()
            .unwrap_or_else(|| format!("personaguard-reports.{}.svc", self.place.namespace))
    }
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
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(line: &[&str]) -> Command {
        Arguments::read(
            std::iter::once("personaguard-operator")
                .chain(line.iter().copied())
                .map(OsString::from),
        )
        .unwrap()
        .command
    }

    #[test]
    fn the_command_line_makes_sense_with_and_without_a_command() {
        Arguments::command().debug_assert();
        let Command::Run(settings) = read(&["--sidecar-image=a"]) else { panic!("not run") };
        assert_eq!(settings.report_host(), "personaguard-reports.personaguard-system.svc");
        let Command::Run(settings) =
            read(&["run", "--sidecar-image=a", "--sidecar-image-pull-policy=Never"])
        else {
            panic!("not run")
        };
        assert_eq!(settings.sidecar_image_pull_policy, PullPolicy::Never);
        assert!(matches!(read(&["check"]), Command::Check(_)));
    }
}
