//! Headers that both directions have.

use axum::http::{HeaderMap, header};

/// Whether the body is compressed, or otherwise encoded.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity")
}
