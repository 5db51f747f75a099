//! Delivery to the operator, from within a Job: how far the extraction is, and in the end the
//! vector file.

use super::journal;
use anyhow::{Context as _, bail};
use clap::Args;
use personaguard_api::names;
use personaguard_persona::VectorFile;
use personaguard_wire::{ExtractionProgress, MAX_VECTOR_BYTES};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Client};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two words of how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// For one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts to deliver the file, and the wait after the first; it doubles, up to a minute.
const ATTEMPTS: u32 = 12;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where an extraction is delivered.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "In a Job of the operator")]
pub struct DeliveryOptions {
    /// Deliver the vector file to the operator at this URL (https://HOST:PORT), besides writing it.
    #[arg(long, value_name = "URL", requires = "token_file")]
    deliver_to: Option<String>,
    /// File with the projected ServiceAccount token by which the operator knows this pod.
    #[arg(long, value_name = "FILE", requires = "deliver_to")]
    token_file: Option<PathBuf>,
    /// PEM bundle of the authorities that the operator may present. Default: the system's.
    #[arg(long, value_name = "FILE", requires = "deliver_to")]
    ca_file: Option<PathBuf>,
}

impl DeliveryOptions {
    /// The delivery, if one is asked for.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        let (url, token_file) = (self.deliver_to.clone()?, self.token_file.clone()?);
        Some(Delivery { url, token_file, ca_file: self.ca_file.clone(), first_wait: FIRST_WAIT })
    }
}

/// The operator that takes an extraction.
#[derive(Clone, Debug)]
pub struct Delivery {
    url: String,
    token_file: PathBuf,
    ca_file: Option<PathBuf>,
    first_wait: Duration,
}

impl Delivery {
    /// Tells again and again how far the extraction is, by its journal. That it is not heard does
    /// no harm.
    pub async fn follow(&self, journal: &Path, total: usize) -> Infallible {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        loop {
            let progress = ExtractionProgress {
                done: count(journal::count(journal).min(total)),
                total: count(total),
            };
            if let Ok(body) = serde_json::to_vec(&progress)
                && let Err(error) = self.send(names::PROGRESS_PATH, "application/json", body).await
            {
                eprintln!("the operator did not take the progress: {error:#}");
            }
            tokio::time::sleep(PROGRESS).await;
        }
    }

    /// Delivers the vector file; where it is larger than a ConfigMap holds, without the parts that
    /// only studies need.
    ///
    /// # Errors
    /// If it is still too large, the operator refuses it, or was not reached for some minutes.
    pub async fn deliver(&self, file: &VectorFile) -> anyhow::Result<()> {
        let body = fitting(file)?;
        let mut wait = self.first_wait;
        for attempt in 1..=ATTEMPTS {
            match self.send(names::VECTOR_PATH, "application/octet-stream", body.clone()).await {
                Ok(Answer::Taken) => return Ok(()),
                Ok(Answer::Refused(why)) => bail!("the operator does not take the vector: {why}"),
                Ok(Answer::Later(why)) => eprintln!("attempt {attempt} of {ATTEMPTS}: {why}"),
                Err(error) => eprintln!("attempt {attempt} of {ATTEMPTS}: {error:#}"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        bail!("the operator at {} did not take the vector: see its log", self.url)
    }

    /// A client that trusts the given authorities alone; without any, the system's.
    fn client(&self) -> anyhow::Result<Client> {
        let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT);
        if let Some(file) = &self.ca_file {
            let pem =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let authorities = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} is no PEM bundle", file.display()))?;
            builder = builder.tls_certs_only(authorities);
        }
        Ok(builder.build()?)
    }

    async fn send(&self, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        let client = self.client()?;
        let token = std::fs::read_to_string(&self.token_file)
            .with_context(|| format!("cannot read the token in {}", self.token_file.display()))?;
        let request = client.post(format!("{}{path}", self.url.trim_end_matches('/')));
        let request = request
            .bearer_auth(token.trim())
            .header(CONTENT_TYPE, kind)
            .timeout(TIMEOUT)
            .body(body);
        let response = request.send().await.context("the operator was not reached")?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Taken);
        }
        let why = format!("{status}: {}", response.text().await.unwrap_or_default());
        Ok(if status.is_server_error() { Answer::Later(why) } else { Answer::Refused(why) })
    }
}

enum Answer {
    Taken,
    /// Not ever.
    Refused(String),
    /// Not now.
    Later(String),
}

fn fitting(file: &VectorFile) -> anyhow::Result<Vec<u8>> {
    let whole = file.to_bytes()?;
    if whole.len() <= MAX_VECTOR_BYTES {
        return Ok(whole);
    }
    let response_only =
        VectorFile::new(file.metadata().clone(), file.response_avg().clone(), None, None)?
            .to_bytes()?;
    if response_only.len() > MAX_VECTOR_BYTES {
        bail!(
            "the vectors of this model take {} bytes, and a ConfigMap holds {MAX_VECTOR_BYTES}: extract them outside of the cluster, export the layer to use, and import that",
            response_only.len()
        );
    }
    Ok(response_only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use personaguard_persona::{LayerMatrix, ModelIdentity, VectorMetadata};
    use std::sync::{Arc, Mutex};

    /// Answers the first push with the first status, and so on; keeps what came last.
    async fn operator(
        statuses: &'static [StatusCode],
    ) -> (Delivery, Arc<Mutex<Vec<Bytes>>>, tempfile::TempDir) {
        let came: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let taken = Arc::clone(&came);
        let push = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["authorization"], "Bearer secret");
            let mut taken = taken.lock().unwrap();
            taken.push(body);
            (statuses[taken.len() - 1], "for this reason")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new()
            .route(names::VECTOR_PATH, post(push.clone()))
            .route(names::PROGRESS_PATH, post(push));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "secret\n").unwrap();
        (
            Delivery { url, token_file, ca_file: None, first_wait: Duration::from_millis(1) },
            came,
            folder,
        )
    }

    fn file(hidden: usize, prompts: bool) -> VectorFile {
        let matrix = LayerMatrix::from_rows(&vec![vec![0.5; hidden]; 3]).unwrap();
        let metadata = VectorMetadata {
            format: VectorMetadata::FORMAT.to_owned(),
            trait_name: "evil".to_owned(),
            description: String::new(),
            model: ModelIdentity { name: "m".to_owned(), sha256: "0".repeat(64) },
            method: "mean-difference/response-avg".to_owned(),
            counts: personaguard_persona::SampleCounts { positive: 1, negative: 1 },
            best_layer: 1,
            validation: Vec::new(),
            calibration: Vec::new(),
            steering: Vec::new(),
            settings: std::collections::BTreeMap::new(),
        };
        let prompt = prompts.then(|| matrix.clone());
        VectorFile::new(metadata, matrix, prompt.clone(), prompt).unwrap()
    }

    #[tokio::test]
    async fn a_file_is_delivered_once_the_operator_takes_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (delivery, came, _folder) =
            operator(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT]).await;
        delivery.deliver(&file(4, true)).await.unwrap();
        let came = came.lock().unwrap();
        assert_eq!(came.len(), 2);
        assert!(VectorFile::parse(&came[1]).unwrap().prompt_last().is_some());
    }

    #[tokio::test]
    async fn a_refusal_ends_it_with_the_reason() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (delivery, _came, _folder) = operator(&[StatusCode::BAD_REQUEST]).await;
        let error = delivery.deliver(&file(4, false)).await.unwrap_err();
        assert!(error.to_string().contains("for this reason"), "{error:#}");
    }

    #[test]
    fn what_a_config_map_does_not_hold_goes_without_the_parts_for_studies_or_not_at_all() {
        let wide = fitting(&file(60_000, true)).unwrap();
        assert!(VectorFile::parse(&wide).unwrap().prompt_last().is_none());
        assert!(fitting(&file(120_000, false)).unwrap_err().to_string().contains("ConfigMap"));
    }

    #[tokio::test]
    async fn progress_is_what_the_journal_holds() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (delivery, came, folder) = operator(&[StatusCode::NO_CONTENT]).await;
        let journal = folder.path().join("journal");
        let lines = "{\"design\":\"d\"}\n{\"request\":0}\n{\"rated\":0}\n{\"request\":1}\n";
        std::fs::write(&journal, lines).unwrap();
        let told = async {
            while came.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            never = delivery.follow(&journal, 5) => match never {},
            () = told => {}
        }
        assert_eq!(&came.lock().unwrap()[0][..], br#"{"done":2,"total":5}"#);
    }
}
