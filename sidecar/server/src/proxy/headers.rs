//! Headers of a response that a policy looks at. The upstream server could write anything there, so
//! only what is known leaves, by its grammar.

use super::shape::is_identifier;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The headers of `from` that may leave.
pub(super) fn allowed(from: &HeaderMap) -> HeaderMap {
    let kept = from.iter().filter(|(name, value)| is_allowed(name, value));
    let mut headers = HeaderMap::new();
    for (name, value) in kept {
        headers.append(name, value.clone());
    }
    headers
}

fn is_allowed(name: &HeaderName, value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let is_listed = |allowed: &[&str]| {
        text.split(',').all(|item| allowed.contains(&item.trim().to_ascii_lowercase().as_str()))
    };
    let name = name.as_str();
    match name {
        "cache-control" => {
            is_listed(&["no-cache", "no-store", "private", "no-transform", "max-age=0"])
        }
        "vary" => is_listed(&[
            "origin",
            "accept-encoding",
            "access-control-request-method",
            "access-control-request-headers",
            "*",
        ]),
        "allow" | "access-control-allow-methods" => {
            is_listed(&["get", "head", "post", "put", "patch", "delete", "options", "*"])
        }
        "access-control-allow-headers" | "access-control-expose-headers" => is_listed(&[
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
        ]),
        "access-control-allow-credentials" => text == "true",
        "access-control-allow-origin" => text == "*" || is_origin(text),
        "retry-after" | "access-control-max-age" | "openai-processing-ms" | "age" => {
            is_number(text)
        }
        "x-request-id" | "request-id" | "openai-version" | "anthropic-version" => {
            is_identifier(text)
        }
        "www-authenticate" => text.eq_ignore_ascii_case("bearer"),
        _ => name.starts_with("x-ratelimit-") && (is_number(text) || is_duration(text)),
    }
}

fn is_number(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// `6m0s`, `250ms`.
fn is_duration(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'h' | b'm' | b's');
    (2..=15).contains(&text.len()) && text.bytes().all(is_part)
}

/// A scheme and a host of this very form; browsers compare it with their own.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        (1..=253).contains(&host.len())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
    })
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
        assert_eq!(allowed(&headers), headers);
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
        assert!(allowed(&odd).is_empty());
    }
}
