//! Headers that both directions have.

use axum::http::{HeaderMap, header};

/// Whether the body is compressed, or otherwise encoded.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
