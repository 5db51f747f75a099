//! Headers of a response that a policy looks at. The upstream server could write anything there, so
//! only what is known leaves, by its grammar.

use super::shape::is_reference;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the client said in its headers: a server that repeats it says nothing of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    origin: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    /// Names of headers that a browser asks for, in small letters.
    names: Vec<String>,
}

impl Asked {
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let names = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let names = names.and_then(|names| names.to_str().ok()).unwrap_or_default();
        Self {
            origin: headers.get(header::ORIGIN).cloned(),
            request_id: headers.get("x-request-id").cloned(),
            names: items(names).map(str::to_ascii_lowercase).collect(),
        }
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The headers of `from` that may leave, as far as they may.
pub(super) fn allowed(from: &HeaderMap, asked: &Asked) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in from {
        if let Some(value) = kept(name, value, asked) {
            headers.append(name, value);
        }
    }
    headers
}

/// What may leave of a header.
fn kept(name: &HeaderName, value: &HeaderValue, asked: &Asked) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let listed = |allowed: &[&str]| listed(text, |item| allowed.contains(&item));
    let whole = |is_allowed: bool| is_allowed.then(|| value.clone());
    match name.as_str() {
        "cache-control" => {
            listed(&["no-cache", "no-store", "private", "no-transform", "max-age=0"])
        }
        "vary" => listed(&[
            "origin",
            "accept-encoding",
            "access-control-request-method",
            "access-control-request-headers",
            "*",
        ]),
        "allow" | "access-control-allow-methods" => {
            listed(&["get", "head", "post", "put", "patch", "delete", "options", "*"])
        }
        "access-control-allow-headers" | "access-control-expose-headers" => {
            self::listed(text, |item| {
                NAMES.contains(&item) || asked.names.iter().any(|name| name == item)
            })
        }
        "access-control-allow-credentials" => whole(text == "true"),
        "access-control-allow-origin" => whole(text == "*" || asked.origin.as_ref() == Some(value)),
        "retry-after" | "access-control-max-age" | "openai-processing-ms" | "age" => {
            whole(is_number(text))
        }
        "x-request-id" | "request-id" => {
            whole(is_reference(text) || asked.request_id.as_ref() == Some(value))
        }
        "openai-version" | "anthropic-version" => whole(is_date(text)),
        "www-authenticate" => whole(text.eq_ignore_ascii_case("bearer")),
        name if RATE_LIMITS.contains(&name) => whole(is_number(text) || is_duration(text)),
        _ => None,
    }
}

/// Names of headers that a list may have.
const NAMES: [&str; 14] = [
    "*",
    "accept",
    "authorization",
    "content-type",
    "content-length",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "anthropic-version",
    "anthropic-beta",
    "x-api-key",
    "x-request-id",
    "x-requested-with",
    "traceparent",
];

/// Headers that tell how much a client may still ask.
const RATE_LIMITS: [&str; 9] = [
    "x-ratelimit-limit",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
];

/// The items of a list that are allowed, by their small letters; none where none is.
fn listed(text: &str, is_allowed: impl Fn(&str) -> bool) -> Option<HeaderValue> {
    let kept: Vec<_> = items(text).filter(|item| is_allowed(&item.to_ascii_lowercase())).collect();
    if kept.is_empty() { None } else { HeaderValue::try_from(kept.join(", ")).ok() }
}

fn is_number(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `6m0s`, `250ms`.
fn is_duration(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'h' | b'm' | b's');
    (2..=15).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(is_part)
}

/// `2020-10-01`.
fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Sets the type of a body that the guard has written anew.
pub(super) fn set_type(headers: &mut HeaderMap, kind: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_leave_by_name_and_grammar() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", "req-123"),
            ("retry-after", "3"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("cache-control", "no-cache, no-store"),
            ("access-control-allow-origin", "http://localhost:3000"),
            ("access-control-allow-headers", "Content-Type, Authorization"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut client = HeaderMap::new();
        client.append("origin", HeaderValue::from_static("http://localhost:3000"));
        assert_eq!(allowed(&headers, &Asked::by(&client)), headers);
        let mut odd = HeaderMap::new();
        for name in [
            "x-answer",
            "x-request-id",
            "retry-after",
            "x-ratelimit-a",
            "cache-control",
            "access-control-allow-origin",
            "access-control-allow-headers",
            "content-type",
            "server",
            "set-cookie",
            "location",
            "vary",
            "allow",
            "www-authenticate",
            "etag",
            "link",
            "date",
        ] {
            odd.append(name, HeaderValue::from_static("secret"));
        }
        assert!(allowed(&odd, &Asked::default()).is_empty());
    }

    #[test]
    fn a2_headers_in_which_a_server_could_say_something_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-ratelimit-secret", "1"),
            ("x-ratelimit-reset", "mshsm"),
            ("access-control-allow-origin", "https://secret.example"),
            ("access-control-expose-headers", "x-secret"),
            ("x-request-id", "secret-1"),
            ("openai-version", "secret-1"),
            ("retry-after", "secret"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut client = HeaderMap::new();
        client.append("origin", HeaderValue::from_static("http://localhost:3000"));
        assert_eq!(allowed(&headers, &Asked::by(&client)), HeaderMap::new());
    }

    /// What the OpenAI library asks for in a browser, and a server that repeats it.
    #[test]
    fn a1_a_browser_is_told_what_it_asked_for() {
        let names = "authorization, content-type, x-stainless-arch, x-stainless-retry-count";
        let mut client = HeaderMap::new();
        client.append("access-control-request-headers", HeaderValue::from_static(names));
        client.append("x-request-id", HeaderValue::from_static("my own words"));
        let mut headers = HeaderMap::new();
        let more = "Authorization, content-type, X-Stainless-Arch, x-stainless-retry-count, x-more";
        headers.append("access-control-allow-headers", HeaderValue::from_static(more));
        headers.append("x-request-id", HeaderValue::from_static("my own words"));
        let left = allowed(&headers, &Asked::by(&client));
        let expected = more.strip_suffix(", x-more").unwrap();
        assert_eq!(left["access-control-allow-headers"], expected);
        assert_eq!(left["x-request-id"], "my own words");
    }
}
