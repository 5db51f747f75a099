//! What a hub says of a repository and its files.

use crate::choice::{ggufs, listed};
use crate::digest::ContentDigest;
use crate::error::FetchError;
use crate::hub::{Hub, Reach, failed, host};
use crate::wanted::Wanted;
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest list of a repository's files, in bytes.
const MAX_BODY: usize = 32 << 20;
/// Headers of a redirect: the file's own size and entity tag, and the commit.
const LINKED_SIZE: &str = "x-linked-size";
const LINKED_ETAG: &str = "x-linked-etag";
const COMMIT: &str = "x-repo-commit";

/// What the hub says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    pub(crate) bytes: Option<u64>,
    /// Its entity tag, without quotation marks.
    pub(crate) etag: Option<String>,
    /// The tag as the hub itself wrote it, if it gives the file itself and the tag is a strong one.
    pub(crate) own_etag: Option<HeaderValue>,
    pub(crate) digest: Option<ContentDigest>,
    pub(crate) commit: Option<String>,
}

/// A repository at a revision.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) commit: Option<String>,
    pub(crate) names: Vec<String>,
}

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    branches: Vec<Ref>,
    #[serde(default)]
    tags: Vec<Ref>,
}

#[derive(Deserialize)]
struct Ref {
    name: String,
}

/// Asks about a file. A failure that may pass is tried again.
pub(crate) async fn file(
    hub: &Hub,
    wanted: &Wanted,
    revision: &str,
    name: &str,
) -> Result<RemoteFile, FetchError> {
    let url = hub.file_url(wanted, revision, name);
    let response = patiently(hub, async || {
        hub.ask((Method::HEAD, url.clone()), &HeaderMap::new(), Reach::Hub, wanted).await
    })
    .await?;
    let headers = response.headers();
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
    let redirects = response.status().is_redirection();
    // The length of a redirect is its own.
    let own_length = number(CONTENT_LENGTH.as_str()).filter(|_| !redirects);
    let tag = text(LINKED_ETAG).or_else(|| text(ETAG.as_str()));
    let etag = tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
    let etag = etag.filter(|tag| !tag.is_empty());
    let is_strong = tag.is_some_and(|tag| tag.starts_with('"'));
    let bytes = number(LINKED_SIZE).or(own_length);
    Ok(RemoteFile {
        name: name.to_owned(),
        bytes,
        own_etag: headers.get(ETAG).filter(|_| is_strong && !redirects).cloned(),
        digest: etag.as_deref().and_then(|etag| ContentDigest::of_etag(etag, bytes)),
        etag,
        commit: text(COMMIT).filter(|commit| is_commit(commit)).map(str::to_owned),
    })
}

/// Asks for the names of the files. A failure that may pass is tried again.
pub(crate) async fn listing(hub: &Hub, wanted: &Wanted) -> Result<Listing, FetchError> {
    let about: About = about(hub, wanted, &["revision", wanted.revision()]).await?;
    Ok(Listing {
        commit: about.sha.filter(|commit| is_commit(commit)),
        names: about.siblings.into_iter().map(|sibling| sibling.rfilename).collect(),
    })
}

/// Completes the error of what was not found with the names of what there is.
pub(crate) async fn with_names(hub: &Hub, wanted: &Wanted, error: FetchError) -> FetchError {
    let FetchError::NotFound(what) = error else { return error };
    if let (Some(_), Ok(listing)) = (wanted.file(), listing(hub, wanted).await) {
        let ggufs = ggufs(&listing.names);
        return FetchError::NotFound(match ggufs.is_empty() {
            true => format!("{what}, and no other GGUF file: take another repository"),
            false => format!("{what}, but {}: take one of these", listed(&ggufs)),
        });
    }
    match about::<Refs>(hub, wanted, &["refs"]).await {
        Ok(Refs { branches, tags }) if !branches.is_empty() || !tags.is_empty() => {
            let names: Vec<&str> =
                branches.iter().chain(&tags).map(|it| it.name.as_str()).collect();
            FetchError::NotFound(format!("{what} (branches and tags: {})", listed(&names)))
        }
        _ => FetchError::NotFound(what),
    }
}

async fn about<T: DeserializeOwned>(
    hub: &Hub,
    wanted: &Wanted,
    what: &[&str],
) -> Result<T, FetchError> {
    let url = hub.about_url(wanted, what);
    let body = patiently(hub, async || {
        let ask = (Method::GET, url.clone());
        let response = hub.ask(ask, &HeaderMap::new(), Reach::Anywhere, wanted).await?;
        bounded(response, MAX_BODY).await
    })
    .await?;
    serde_json::from_slice(&body).map_err(|_| {
        FetchError::Unusable(format!(
            "{} does not answer as a model hub does: check the endpoint, and whether a proxy asks \
             to log in",
            hub.shown()
        ))
    })
}

async fn bounded(mut response: Response, longest: usize) -> Result<Vec<u8>, FetchError> {
    let host = host(response.url());
    let mut body = Vec::new();
    let broken = |error| failed(&format!("{host} broke off its answer"), error);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > longest {
            return Err(FetchError::Unusable(format!(
                "{host} answers with more than {longest} bytes where a list of files was asked for"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Asks again as long as the failure may pass.
async fn patiently<T>(
    hub: &Hub,
    ask: impl AsyncFn() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut waits = hub.pace().waits();
    loop {
        let error = match ask().await {
            Err(error @ FetchError::Unavailable { .. }) => error,
            settled => return settled,
        };
        let Some(wait) = waits.next() else { return Err(error) };
        tokio::time::sleep(asked_wait(hub, &error).max(wait)).await;
    }
}

/// For how long the hub asks to be left alone, within reason.
pub(crate) fn asked_wait(hub: &Hub, error: &FetchError) -> Duration {
    match error {
        FetchError::Unavailable { wait: Some(wait), .. } => (*wait).min(hub.pace().longest_wait),
        _ => Duration::ZERO,
    }
}

/// Whether it names a commit, which never changes.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
