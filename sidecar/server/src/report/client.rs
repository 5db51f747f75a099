//! The HTTP client for pushing reports.

use super::process_key::ProcessKey;
use anyhow::Context as _;
use personaguard_wire::{KEY_HEADER, SIGNATURE_HEADER, SidecarReport};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where reports go.
#[derive(Clone, Debug)]
pub struct ReportTarget {
    /// URL.
    pub url: String,
    /// File with the token. Read again for each push, because the kubelet renews it.
    pub token_file: Option<PathBuf>,
    /// PEM bundle of the authorities to trust. Read again for each push, because they rotate. If
    /// there is no such file, the system's authorities are trusted.
    pub ca_file: PathBuf,
}

/// Time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends reports, trusting the authorities of the moment.
#[derive(Debug)]
pub(super) struct ReportClient {
    target: ReportTarget,
    key: Arc<ProcessKey>,
    /// The HTTP client, with the authorities that it trusts.
    http: Option<(Option<Vec<u8>>, Client)>,
}

impl ReportClient {
    pub(super) fn new(target: ReportTarget, key: Arc<ProcessKey>) -> Self {
        Self { target, key, http: None }
    }

    /// Sends a report; the status that the operator answered with.
    pub(super) async fn send(&mut self, report: &SidecarReport) -> anyhow::Result<StatusCode> {
        let body = serde_json::to_vec(report)?;
        let mut request = self
            .http()?
            .post(&self.target.url)
            .header(CONTENT_TYPE, "application/json")
            .header(KEY_HEADER, self.key.public())
            .header(SIGNATURE_HEADER, self.key.sign(&body))
            .body(body);
        if let Some(file) = &self.target.token_file {
            let token = std::fs::read_to_string(file)
                .with_context(|| format!("reading {}", file.display()))?;
            request = request.bearer_auth(token.trim());
        }
        Ok(request.send().await.map_err(reqwest::Error::without_url)?.status())
    }

    /// The HTTP client, a new one if the authorities changed.
    fn http(&mut self) -> anyhow::Result<Client> {
        let authorities = std::fs::read(&self.target.ca_file).ok();
        if let Some((known, client)) = &self.http
            && *known == authorities
        {
            return Ok(client.clone());
        }
        let client = build(authorities.as_deref(), &self.target.ca_file)?;
        self.http = Some((authorities, client.clone()));
        Ok(client)
    }
}

/// A client that trusts these authorities alone (PEM, read from `file`); without any, the system's.
fn build(authorities: Option<&[u8]>, file: &Path) -> anyhow::Result<Client> {
    let mut builder = Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if let Some(pem) = authorities {
        let certificates = Certificate::from_pem_bundle(pem)
            .with_context(|| format!("{} is no PEM bundle", file.display()))?;
        builder = builder.tls_certs_only(certificates);
    }
    Ok(builder.build()?)
}
