//! Delivery of an extraction to the operator, from within a Job: its progress, and in the end the
//! vector file.

use super::journal::count_answers;
use crate::error::{Context as _, LabError, Result, bail};
use backon::{ExponentialBuilder, Retryable as _};
use personaguard_persona::VectorFile;
use personaguard_terms::names;
use personaguard_wire::{ExtractionProgress, MAX_VECTOR_BYTES};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the delivery of the file is repeated.
const RETRIES: usize = 11;
/// Delay before the first repetition; it doubles with each further one, up to [`MAX_DELAY`].
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The operator that takes an extraction.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// URL of the operator, `https://HOST:PORT`.
    url: String,
    /// File with the token by which the operator knows this pod.
    token_file: PathBuf,
    /// PEM bundle of the certificate authorities that the operator may use.
    ca_file: Option<PathBuf>,
    first_delay: Duration,
}

/// Why a delivery failed.
#[derive(Debug)]
enum Failure {
    /// The operator refuses it, now and later.
    Refused(String),
    /// The operator is not available; it may be later.
    Unavailable(LabError),
}

impl Delivery {
    /// Delivers to the operator at a URL. The token file is read for each request. Without a file
    /// of certificate authorities, the system's are trusted.
    #[must_use]
    pub fn new(url: String, token_file: PathBuf, ca_file: Option<PathBuf>) -> Self {
        Self { url, token_file, ca_file, first_delay: FIRST_DELAY }
    }

    /// Reports the progress of an extraction of `total` answers again and again, as its journal has
    /// it. Failures are ignored.
    pub(super) async fn report_progress(&self, journal: &Path, total: usize) -> Infallible {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        loop {
            let progress = ExtractionProgress {
                done: count(count_answers(journal).min(total)),
                total: count(total),
            };
            if let Ok(body) = serde_json::to_vec(&progress) {
                match self.send(names::PROGRESS_PATH, "application/json", body).await {
                    Ok(()) => {}
                    Err(Failure::Refused(why)) => {
                        eprintln!("the operator did not take the progress: {why}");
                    }
                    Err(Failure::Unavailable(error)) => {
                        let why = error.with_causes();
                        eprintln!("the operator did not take the progress: {why}");
                    }
                }
            }
            tokio::time::sleep(PROGRESS_INTERVAL).await;
        }
    }

    /// Delivers the vector file. If it is too large for a ConfigMap, the vectors over prompts are
    /// left out, which only studies need.
    ///
    /// # Errors
    /// If the file is still too large, the operator refuses it, or is not available for some
    /// minutes.
    pub(super) async fn deliver(&self, file: &VectorFile) -> Result<()> {
        let body = fitting(file)?;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(MAX_DELAY)
            .with_max_times(RETRIES);
        let delivered =
            (|| self.send(names::VECTOR_PATH, "application/octet-stream", body.clone()))
                .retry(backoff)
                .when(|failure| matches!(failure, Failure::Unavailable(_)))
                .notify(|failure, delay| {
                    if let Failure::Unavailable(error) = failure {
                        let (why, wait) = (error.with_causes(), delay.as_secs());
                        eprintln!("{why}; trying again in {wait} s");
                    }
                });
        match delivered.await {
            Ok(()) => Ok(()),
            Err(Failure::Refused(why)) => bail!("the operator does not take the vector: {why}"),
            Err(Failure::Unavailable(error)) => Err(error.about(format!(
                "the operator at {} did not take the vector: see its log",
                self.url
            ))),
        }
    }

    async fn send(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<(), Failure> {
        let request = self.request(path, content_type, body).map_err(Failure::Unavailable)?;
        let response = request
            .send()
            .await
            .context("the operator is unreachable")
            .map_err(Failure::Unavailable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("{status}: {}", response.text().await.unwrap_or_default());
        Err(if status.is_server_error() {
            Failure::Unavailable(LabError::Unusable(why))
        } else {
            Failure::Refused(why)
        })
    }

    fn request(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<reqwest::RequestBuilder> {
        let client = self.client()?;
        let token = std::fs::read_to_string(&self.token_file)
            .with_context(|| format!("cannot read the token in {}", self.token_file.display()))?;
        Ok(client
            .post(format!("{}{path}", self.url.trim_end_matches('/')))
            .bearer_auth(token.trim())
            .header(CONTENT_TYPE, content_type)
            .timeout(TIMEOUT)
            .body(body))
    }

    /// A client that trusts the authorities in their present file.
    fn client(&self) -> Result<Client> {
        let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT);
        if let Some(file) = &self.ca_file {
            let pem =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let authorities = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} is not a PEM bundle", file.display()))?;
            builder = builder.tls_certs_only(authorities);
        }
        Ok(builder.build()?)
    }
}

/// The bytes of a vector file that fit into a ConfigMap.
fn fitting(file: &VectorFile) -> Result<Vec<u8>> {
    let whole = file.to_bytes()?;
    if whole.len() <= MAX_VECTOR_BYTES {
        return Ok(whole);
    }
    let response_only =
        VectorFile::new(file.metadata().clone(), file.response_avg().clone(), None, None)?
            .to_bytes()?;
    if response_only.len() > MAX_VECTOR_BYTES {
        bail!(
            "the vectors of this model have {} bytes, and a ConfigMap holds {MAX_VECTOR_BYTES}: \
             extract them outside the cluster, export the layer to use, and import that",
            response_only.len()
        );
    }
    Ok(response_only)
}

#[cfg(test)]
mod tests;
