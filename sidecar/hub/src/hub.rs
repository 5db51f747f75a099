//! How a hub is asked: through which proxy, with which token, along which redirects.

mod refusal;

use crate::error::FetchError;
use crate::pace::Pace;
use crate::wanted::Wanted;
use personaguard_terms::names::PUBLIC_HUB;
use refusal::refusal;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Proxy, Response, StatusCode, Url};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 8;

/// How a hub is reached.
#[derive(Clone, Default)]
pub struct HubSettings {
    /// URL of the hub; empty: the public one.
    pub endpoint: String,
    /// Token, for repositories that not everybody may read.
    pub token: Option<String>,
    /// URL of a proxy. Without one, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` decide.
    pub proxy: Option<String>,
    /// PEM bundle of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How patient a fetch is.
    pub pace: Pace,
}

// Neither the token nor a proxy's password is for logs.
impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// A model hub.
#[derive(Clone)]
pub struct Hub {
    http: Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    pace: Pace,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("endpoint", &self.shown()).finish_non_exhaustive()
    }
}

/// Whether a request follows to another server than the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Hub,
    Anywhere,
}

impl Hub {
    /// # Errors
    /// A setting is malformed, or the file of authorities cannot be read.
    pub fn new(settings: HubSettings) -> Result<Self, FetchError> {
        let HubSettings { endpoint, token, proxy, ca_file, pace } = settings;
        let endpoint = if endpoint.is_empty() { PUBLIC_HUB } else { endpoint.as_str() };
        let invalid = |what: String| FetchError::Invalid(what);
        let url = Url::parse(endpoint).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http") && url.has_host() && url.password().is_none()
        });
        let url = url.ok_or_else(|| {
            invalid(format!("the hub's endpoint {endpoint:?} is not a URL: write https://HOST"))
        })?;
        let mut client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(pace.connect)
            .read_timeout(pace.stall)
            .user_agent(concat!("personaguard/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = proxy {
            // The URL may hold a password.
            let proxy = Proxy::all(&proxy).map_err(|_| {
                invalid("the URL of the proxy is not valid: write http://HOST:PORT".to_owned())
            })?;
            client = client.no_proxy().proxy(proxy);
        }
        if let Some(file) = ca_file {
            let pem = std::fs::read(&file).map_err(|error| FetchError::io(&file, "read", error))?;
            let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if authorities.is_empty() {
                let file = file.display();
                return Err(invalid(format!("{file} holds no certificates in PEM")));
            }
            client = client.tls_certs_merge(authorities);
        }
        let token = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                invalid("the hub's token has characters that no token has".to_owned())
            })?;
            value.set_sensitive(true);
            Ok::<_, FetchError>(value)
        });
        Ok(Self {
            http: client.build().map_err(|error| failed("no HTTPS client can be made", error))?,
            endpoint: url,
            token: token.transpose()?,
            pace,
        })
    }

    /// How patient it is.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Its address as people know it.
    pub(crate) fn shown(&self) -> String {
        let port = self.endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = self.endpoint.host_str().unwrap_or_default();
        let path = self.endpoint.path().trim_end_matches('/');
        format!("{}://{host}{port}{path}", self.endpoint.scheme())
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Address of a file.
    pub(crate) fn file_url(&self, wanted: &Wanted, revision: &str, name: &str) -> Url {
        let parts = wanted.repo().split('/').chain(["resolve", revision]).chain(name.split('/'));
        self.url(parts)
    }

    /// Address of what is known about a repository.
    pub(crate) fn about_url(&self, wanted: &Wanted, what: &[&str]) -> Url {
        let parts = ["api", "models"].into_iter().chain(wanted.repo().split('/'));
        self.url(parts.chain(what.iter().copied()))
    }

    fn url<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        // An http(s) URL has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    /// Whether an answer came from the hub itself, and not from where it sent us.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// Asks, and follows redirects as far as `reach` says. The hub's own servers get the token, and
    /// nobody else.
    ///
    /// # Errors
    /// No answer came, or one that refuses or fails. `asked` says for whom.
    pub(crate) async fn ask(
        &self,
        (method, url): (Method, Url),
        headers: &HeaderMap,
        reach: Reach,
        asked: &Wanted,
    ) -> Result<Response, FetchError> {
        let mut url = url;
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone());
            // What is compressed on the way has another length, and other ranges.
            request = request.header(ACCEPT_ENCODING, "identity").headers(headers.clone());
            if let Some(token) = self.token.as_ref().filter(|_| self.is_own(&url)) {
                request = request.header(reqwest::header::AUTHORIZATION, token.clone());
            }
            let response = request.send().await.map_err(|error| self.unreachable(&url, error))?;
            let Some(next) = redirect(&response) else { return self.check(response, asked) };
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(FetchError::Refused(format!(
                    "{} redirects to an address without encryption, which is not followed: ask \
                     whoever runs it",
                    host(&url)
                )));
            }
            if reach == Reach::Hub && !self.is_own(&next) {
                return Ok(response);
            }
            url = next;
        }
        Err(FetchError::Refused(format!(
            "{} redirects again and again: check the endpoint",
            self.shown()
        )))
    }

    fn check(&self, response: Response, asked: &Wanted) -> Result<Response, FetchError> {
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let host = host(response.url());
        let what = format!("{host} answers {status}");
        if status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        {
            let wait = retry_after(response.headers());
            return Err(FetchError::Unavailable { what, wait, source: None });
        }
        if !self.is_own(response.url()) {
            // The hub signs addresses for a while only; the next one may be good.
            return Err(FetchError::unavailable(format!("{what}, to where the hub sent us")));
        }
        Err(refusal(self, &response, asked))
    }

    /// The error of a request without an answer.
    pub(crate) fn unreachable(&self, url: &Url, error: reqwest::Error) -> FetchError {
        let doing = if error.is_connect() { "cannot be reached" } else { "does not answer" };
        failed(&format!("{} {doing}", host(url)), error)
    }
}

/// An error of the HTTP client. Its URL may have a signature, which is nobody's business.
pub(crate) fn failed(what: &str, error: reqwest::Error) -> FetchError {
    let source = Some(Box::new(error.without_url()) as Box<_>);
    FetchError::Unavailable { what: what.to_owned(), wait: None, source }
}

/// The name of a URL's server.
pub(crate) fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

fn redirect(response: &Response) -> Option<Url> {
    let to = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    response.url().join(to.to_str().ok()?).ok()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
