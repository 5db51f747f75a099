//! What a request is for, by its method and path.

use axum::http::Method;

/// A request by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A model writes the answer.
    Writes(Api),
    /// No model writes: what may answer it is known.
    Passive(Passive),
    /// A browser asks what it may send.
    Preflight,
    /// A model may write, in a format that is not read here.
    Unknown,
}

/// How request and answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// OpenAI's `chat/completions`.
    Chat,
    /// OpenAI's `completions`, without turns.
    Completions,
    /// OpenAI's `responses`.
    Responses,
    /// Anthropic's `messages`.
    Messages,
}

/// What is known not to make a model write, by what its answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passive {
    /// A status, and no words.
    Health,
    /// Prometheus metrics.
    Metrics,
    /// Names and numbers: models, versions, embeddings, tokens, scores.
    Data,
}

/// Ends of paths that are known not to make a model write, with their methods.
const PASSIVE: [(Passive, Methods, &[&str]); 3] = [
    (
        Passive::Health,
        Methods::Read,
        &[
            "",
            "health",
            "health_check",
            "health_generate",
            "healthcheck",
            "healthz",
            "health/live",
            "health/ready",
            "health/startup",
            "livez",
            "readyz",
            "live",
            "liveness",
            "ready",
            "readiness",
            "ping",
        ],
    ),
    (Passive::Metrics, Methods::Read, &["metrics"]),
    (
        Passive::Data,
        Methods::Any,
        &[
            "api/embed",
            "api/embeddings",
            "api/ps",
            "api/show",
            "api/tags",
            "api/version",
            "classify",
            "embed",
            "embeddings",
            "get_model_info",
            "get_server_info",
            "info",
            "is_sleeping",
            "load",
            "messages/count_tokens",
            "model_info",
            "models",
            "moderations",
            "pooling",
            "props",
            "rerank",
            "responses/input_tokens",
            "score",
            "server_info",
            "tokenize",
            "version",
        ],
    ),
];

/// Methods of passive paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Methods {
    Read,
    Any,
}

/// Judged by the end of the path, as servers may have a prefix. A model is taken to write wherever
/// a lenient server would take it so: doubled and trailing slashes, dots, percent-encoding and
/// capitals make no difference. Passive is only what every server reads alike.
pub(super) fn route(method: &Method, path: &str) -> Route {
    if method == Method::OPTIONS {
        return Route::Preflight;
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_sent = matches!(*method, Method::POST | Method::PUT);
    if let Some(passive) = passive(path, is_read, is_sent) {
        return Route::Passive(passive);
    }
    match api(path) {
        Some(api) if is_sent => Route::Writes(api),
        _ => Route::Unknown,
    }
}

fn passive(path: &str, is_read: bool, is_sent: bool) -> Option<Passive> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':');
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.chars().all(plain) || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let ends_with = |end: &&&str| match path.strip_suffix(**end) {
        Some(before) if end.is_empty() => before.is_empty(),
        Some(before) => before.is_empty() || before.ends_with('/'),
        None => false,
    };
    let known = PASSIVE.iter().find(|(_, methods, ends)| {
        let fits = is_read || (is_sent && *methods == Methods::Any);
        fits && ends.iter().any(|end| ends_with(&end))
    });
    // `models/NAME`, where the name may have slashes.
    let is_model = || is_read && path.split('/').any(|segment| segment == "models");
    known.map(|(passive, ..)| *passive).or_else(|| is_model().then_some(Passive::Data))
}

fn api(path: &str) -> Option<Api> {
    let path = decoded(path);
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    match segments.as_slice() {
        [.., "chat", "completions"] => Some(Api::Chat),
        [.., "completions"] => Some(Api::Completions),
        [.., "responses"] => Some(Api::Responses),
        [.., "messages"] => Some(Api::Messages),
        _ => None,
    }
}

/// Percent-decoded until nothing changes, in lower case.
fn decoded(path: &str) -> String {
    let mut path = path.to_lowercase();
    for _ in 0..4 {
        let next = decode_once(&path).to_lowercase();
        if next == path {
            break;
        }
        path = next;
    }
    path
}

fn decode_once(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code =
            code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
