//! Which requests make a model write.

use axum::http::Method;

/// A request by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Passes untouched: embeddings, models, files, health, and whatever is not known.
    Plain,
    /// A model writes the answer.
    Writes(Api),
}

/// How request and answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// `chat/completions`.
    Chat,
    /// `completions`, without turns.
    Text,
    /// A format that is not read here: it follows the failure policy.
    Foreign,
}

/// Last segments of paths by which common servers have a model write in a format that is not read
/// here.
const FOREIGN: [&str; 12] = [
    "chat",
    "completion",
    "generate",
    "generate_stream",
    "generatecontent",
    "infill",
    "invocations",
    "messages",
    "realtime",
    "responses",
    "runs",
    "streamgeneratecontent",
];

/// Judged by the end of the path, as servers may have a prefix, and by what a lenient server would
/// take it for: doubled and trailing slashes, dots, percent-encoding and capitals make no
/// difference.
pub(super) fn kind(method: &Method, path: &str) -> Kind {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Kind::Plain;
    }
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
        [.., "chat", "completions"] => Kind::Writes(Api::Chat),
        [.., "completions"] => Kind::Writes(Api::Text),
        [.., last] if FOREIGN.contains(&last.rsplit(':').next().unwrap_or(last)) => {
            Kind::Writes(Api::Foreign)
        }
        _ => Kind::Plain,
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
