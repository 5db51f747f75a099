//! The HTTP client for pushing reports.

use super::process_key::ProcessKey;
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

/// Why a push had no answer. None says the URL, which stands in the config.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the report cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    #[error("the token in {} cannot be read: see the pod's projected volume", path.display())]
    Token { path: PathBuf, source: std::io::Error },
    #[error(
        "{} is no PEM bundle of certificates: let the operator write the config folder again",
        path.display()
    )]
    Authorities { path: PathBuf, source: reqwest::Error },
    #[error("no HTTPS client can be made")]
    Client(#[source] reqwest::Error),
    #[error("the operator cannot be reached")]
    Unreachable(#[source] reqwest::Error),
}

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
    pub(super) async fn send(&mut self, report: &SidecarReport) -> Result<StatusCode, SendError> {
        let body = serde_json::to_vec(report).map_err(SendError::Unwritable)?;
        let mut request = self
            .http()?
            .post(&self.target.url)
            .header(CONTENT_TYPE, "application/json")
            .header(KEY_HEADER, self.key.public())
            .header(SIGNATURE_HEADER, self.key.sign(&body))
            .body(body);
        if let Some(file) = &self.target.token_file {
            let token = std::fs::read_to_string(file)
                .map_err(|source| SendError::Token { path: file.clone(), source })?;
            request = request.bearer_auth(token.trim());
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        Ok(answer.map_err(SendError::Unreachable)?.status())
    }

    /// The HTTP client, a new one if the authorities changed.
    fn http(&mut self) -> Result<Client, SendError> {
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
fn build(authorities: Option<&[u8]>, file: &Path) -> Result<Client, SendError> {
    let mut builder = Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if let Some(pem) = authorities {
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|source| SendError::Authorities { path: file.to_owned(), source })?;
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(SendError::Client)
}
