//! A real Prometheus with the chart's rules and a real Alertmanager, for one scenario.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PROMETHEUS: &str = "127.0.0.1:19090";
const ALERTMANAGER: &str = "127.0.0.1:19093";

/// Both servers, ended on drop.
pub struct Alerting {
    http: reqwest::Client,
    servers: Vec<Child>,
    _folder: TempDir,
}

impl Alerting {
    /// Starts both on loopback; Prometheus scrapes `targets` (`host:port`) each second and evaluates `rules`, a file of
    /// groups as Prometheus reads it.
    ///
    /// # Errors
    /// When one of them cannot be started.
    pub fn start(rules: &Path, targets: &[String]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let prometheus = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [ALERTMANAGER] }] }] },
            "scrape_configs": [{ "job_name": "personaguard", "static_configs": [{ "targets": targets }] }]
        });
        let alertmanager = serde_json::json!({ "route": { "receiver": "none", "group_wait": "0s" }, "receivers": [{ "name": "none" }] });
        // JSON is YAML.
        std::fs::write(at("prometheus.yml"), prometheus.to_string())?;
        std::fs::write(at("alertmanager.yml"), alertmanager.to_string())?;
        let mut alerting = Self { http: reqwest::Client::new(), servers: Vec::new(), _folder: folder };
        let folder = alerting._folder.path().to_owned();
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let file = |name: &str| folder.join(name).display().to_string();
        alerting.spawn(
            "prometheus-alertmanager",
            &[
                flag("config.file", &file("alertmanager.yml")),
                flag("storage.path", &file("alertmanager")),
                flag("web.listen-address", ALERTMANAGER),
                flag("cluster.listen-address", ""),
            ],
        )?;
        alerting.spawn(
            "prometheus",
            &[
                flag("config.file", &file("prometheus.yml")),
                flag("storage.tsdb.path", &file("prometheus")),
                flag("web.listen-address", PROMETHEUS),
            ],
        )?;
        Ok(alerting)
    }

    fn spawn(&mut self, program: &str, arguments: &[String]) -> Result<()> {
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} cannot be started: install the Debian package {program}"))?;
        self.servers.push(child);
        Ok(())
    }

    /// Alerts that the Alertmanager holds, by its v2 API.
    ///
    /// # Errors
    /// When it does not answer yet.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        Ok(self.http.get(format!("http://{ALERTMANAGER}/api/v2/alerts")).send().await?.json().await?)
    }
}

impl Drop for Alerting {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Already ended is as good.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
