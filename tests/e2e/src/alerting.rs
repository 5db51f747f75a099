//! A real Prometheus with the chart's rules, and a real Alertmanager, for one scenario.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::{NamedTempFile, TempDir};

const PROMETHEUS: &str = "127.0.0.1:19090";
const ALERTMANAGER: &str = "127.0.0.1:19093";

/// A server, killed on drop.
struct Server(Child);

impl Server {
    fn start(program: &str, arguments: &[String]) -> Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!("{program} cannot be started: install the Debian package {program}")
            })?;
        Ok(Self(child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn flag(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

/// The chart's alerting rules, as a rule file for Prometheus.
///
/// # Errors
/// When helm is missing, or refuses the chart.
pub fn chart_rules() -> Result<NamedTempFile> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/personaguard");
    let rendered = Command::new("helm")
        .args(["template", "personaguard", chart, "--kube-version", "1.36.3"])
        .args(["--api-versions", "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"])
        .args([
            "--set",
            "monitoring.rules.create=PrometheusRule",
            "--show-only",
            "templates/prometheusrule.yaml",
        ])
        .output()?;
    anyhow::ensure!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let rule: Value = serde_saphyr::from_slice(&rendered.stdout)?;
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    write!(file, "{}", json!({ "groups": rule["spec"]["groups"] }))?;
    Ok(file)
}

/// An Alertmanager with an empty storage. Killed on drop.
pub struct Alertmanager {
    http: reqwest::Client,
    url: String,
    _server: Server,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts it on `address` (`host:port`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(address: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name).display().to_string();
        // JSON is YAML.
        let config = json!({
            "route": { "receiver": "none", "group_wait": "0s" }, "receivers": [{ "name": "none" }]
        });
        std::fs::write(folder.path().join("alertmanager.yml"), config.to_string())?;
        let arguments = [
            flag("config.file", &file("alertmanager.yml")),
            flag("storage.path", &file("alertmanager")),
            flag("web.listen-address", address),
            flag("cluster.listen-address", ""),
        ];
        let server = Server::start("prometheus-alertmanager", &arguments)?;
        let url = format!("http://{address}/api/v2/alerts");
        Ok(Self { http: reqwest::Client::new(), url, _server: server, _folder: folder })
    }

    /// The alerts that it has, through its API v2.
    ///
    /// # Errors
    /// When it does not answer yet.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        Ok(self.http.get(&self.url).send().await?.json().await?)
    }
}

/// Both servers, killed on drop.
pub struct Alerting {
    alertmanager: Alertmanager,
    _prometheus: Server,
    _folder: TempDir,
}

impl Alerting {
    /// Starts both on loopback. Prometheus scrapes `targets` (`host:port`) each second, and
    /// evaluates the groups in the file `rules`.
    ///
    /// # Errors
    /// When one of them cannot be started.
    pub fn start(rules: &Path, targets: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name).display().to_string();
        let alertmanagers = json!([{ "static_configs": [{ "targets": [ALERTMANAGER] }] }]);
        let sidecars =
            json!({ "job_name": "personaguard", "static_configs": [{ "targets": targets }] });
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "alerting": { "alertmanagers": alertmanagers },
            "scrape_configs": [sidecars]
        });
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string())?;
        let arguments = [
            flag("config.file", &file("prometheus.yml")),
            flag("storage.tsdb.path", &file("prometheus")),
            flag("web.listen-address", PROMETHEUS),
        ];
        let prometheus = Server::start("prometheus", &arguments)?;
        Ok(Self {
            alertmanager: Alertmanager::start(ALERTMANAGER)?,
            _prometheus: prometheus,
            _folder: folder,
        })
    }

    /// The alerts that the Alertmanager has.
    ///
    /// # Errors
    /// When it does not answer yet.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        self.alertmanager.alerts().await
    }
}
