//! A real Prometheus with the chart's rules and a real Alertmanager, in the local cluster's
//! network.

use crate::debian;
use crate::kube::{Kube, SYSTEM};
use crate::progress::Progress;
use anyhow::{Context, Result};
use personaguard_cluster::{Cache, Cluster, capture};
use serde_json::json;
use std::fs;

/// Keeps Prometheus's target files up to date: Debian builds Prometheus without Kubernetes
/// discovery.
const DISCOVER: &str = include_str!("discover.sh");

/// Both servers. They end with the cluster.
pub(crate) struct Monitoring {
    cluster: Cluster,
    amtool: std::path::PathBuf,
}

impl Monitoring {
    /// Starts or restarts both, with the rules that the chart put into the cluster.
    ///
    /// # Errors
    /// A Debian package cannot be downloaded, or a process does not start.
    pub(crate) fn start(
        cache: &Cache,
        kube: &Kube,
        mut cluster: Cluster,
        progress: &Progress,
    ) -> Result<Self> {
        let why = "evaluates the chart's alerting rules";
        let prometheus = debian::ensure(cache, "prometheus", "prometheus", why, progress)?;
        let why = "receives the alerts";
        let package = "prometheus-alertmanager";
        let alertmanager =
            debian::ensure(cache, package, "prometheus-alertmanager", why, progress)?;
        let amtool = debian::ensure(cache, package, "amtool", "shows the alerts", progress)?;
        progress.step("starting Prometheus and Alertmanager");
        let rules = [
            "-n",
            SYSTEM,
            "get",
            "configmap",
            "personaguard-rules",
            "-o",
            r"jsonpath={.data.personaguard\.rules\.yaml}",
        ];
        let rules = capture(kube.kubectl().args(rules)).context("the chart installed no rules")?;
        let folder = cluster.layout().join("monitoring");
        fs::create_dir_all(&folder)?;
        let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
        fs::write(at("rules.yaml"), rules)?;
        let node = cluster.node_address();
        fs::write(at("discover.sh"), DISCOVER)?;
        // JSON is YAML.
        let config = json!({
            "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
            "rule_files": [at("rules.yaml")],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [format!("{node}:9093")]}]}],
            },
            "scrape_configs": [
                {"job_name": "sidecars", "file_sd_configs": [{"files": [at("sidecars.json")]}]},
                {
                    "job_name": "operator", "honor_labels": true,
                    "file_sd_configs": [{"files": [at("operator.json")]}],
                },
            ],
        });
        fs::write(at("prometheus.yaml"), config.to_string())?;
        let config = json!({
            "route": {
                "receiver": "none",
                "group_by": ["..."], "group_wait": "0s", "group_interval": "5s",
            },
            "receivers": [{"name": "none"}],
        });
        fs::write(at("alertmanager.yaml"), config.to_string())?;
        for name in ["discovery", "alertmanager", "prometheus"] {
            cluster.kill(name)?;
        }
        cluster.spawn(
            "alertmanager",
            &[
                alertmanager.to_string_lossy().into_owned(),
                format!("--config.file={}", at("alertmanager.yaml")),
                format!("--storage.path={}", at("alertmanager")),
                format!("--web.listen-address={node}:9093"),
                "--cluster.listen-address=".into(),
            ],
        )?;
        cluster.spawn(
            "prometheus",
            &[
                prometheus.to_string_lossy().into_owned(),
                format!("--config.file={}", at("prometheus.yaml")),
                format!("--storage.tsdb.path={}", at("prometheus")),
                format!("--web.listen-address={node}:9090"),
            ],
        )?;
        let kubeconfig = cluster.layout().join_str("pki/prometheus.kubeconfig");
        cluster.spawn(
            "discovery",
            &["sh".into(), at("discover.sh"), kubeconfig, folder.to_string_lossy().into_owned()],
        )?;
        progress.done();
        Ok(Self { cluster, amtool })
    }

    /// Prometheus's URL, reachable from the host.
    pub(crate) fn prometheus(&self) -> String {
        format!("http://{}:9090", self.cluster.node_address())
    }

    /// Alertmanager's URL, reachable from the host.
    pub(crate) fn alertmanager(&self) -> String {
        format!("http://{}:9093", self.cluster.node_address())
    }

    /// Alertmanager's alerts with this name, one a line.
    ///
    /// # Errors
    /// Alertmanager does not respond.
    pub(crate) fn alerts(&self, name: &str) -> Result<Vec<String>> {
        let url = format!("--alertmanager.url={}", self.alertmanager());
        let output = capture(std::process::Command::new(&self.amtool).arg(url).args([
            "alert",
            "query",
            &format!("alertname={name}"),
            "-o",
            "extended",
        ]))?;
        // The first line is the header.
        Ok(output.lines().skip(1).map(str::to_owned).collect())
    }
}
