//! How receivers are asked, and what their answers mean.

use super::error::DeliveryError;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, StatusCode, Url};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Files of a folder with a receiver's secrets, named as in Secrets of type `kubernetes.io/tls`.
const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// A client that follows no redirect: a POST would arrive as a GET, or at a login page.
pub(super) fn client() -> ClientBuilder {
    Client::builder().timeout(TIMEOUT).redirect(Policy::none())
}

/// A client with the authority and the certificate of a folder, if it has one. The files are read
/// each time, because they may change while the operator runs.
pub(super) async fn own_client(folder: &Path) -> Result<Option<Client>, DeliveryError> {
    let authority = read(folder, AUTHORITY).await?;
    let certificate = read(folder, CERTIFICATE).await?;
    if authority.is_none() && certificate.is_none() {
        return Ok(None);
    }
    let mut client = client();
    if let Some(pem) = authority {
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| no_pem(AUTHORITY))?;
        if authorities.is_empty() {
            return Err(no_pem(AUTHORITY));
        }
        client = client.tls_certs_merge(authorities);
    }
    if let Some(mut pem) = certificate {
        pem.extend(read(folder, KEY).await?.ok_or_else(|| no_pem(KEY))?);
        client = client.identity(Identity::from_pem(&pem).map_err(|_| no_pem(CERTIFICATE))?);
    }
    Ok(Some(client.build()?))
}

fn no_pem(file: &str) -> DeliveryError {
    DeliveryError::Secret(format!("{file} of its Secret is not there, or not in PEM"))
}

/// A file of a folder, if it is there.
pub(super) async fn read(folder: &Path, file: &str) -> Result<Option<Vec<u8>>, DeliveryError> {
    match tokio::fs::read(folder.join(file)).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(DeliveryError::Secret(format!("{file} of its Secret cannot be read: {error}")))
        }
    }
}

/// Whether a receiver took what it was sent.
pub(super) fn accepted(response: &Response) -> Result<(), DeliveryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| response.url().join(to).ok());
        return Err(DeliveryError::Redirected {
            status,
            to: to.as_ref().map_or_else(|| "nowhere".to_owned(), shown),
        });
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": its credentials are missing or wrong"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            ": it is not at this path; look for a prefix"
        }
        _ => "",
    };
    Err(DeliveryError::Status { status, hint })
}

/// A URL without what may be a secret.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}
