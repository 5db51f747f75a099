//! SHA-256 digests as lower-case hexadecimal text: how weights and vectors are named.

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of one layer's vector, shape `[hidden]`, over its F32 values in little-endian order, as
/// 64 lower-case hexadecimal digits.
#[must_use]
pub fn layer_digest(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    for value in values {
        hasher.update(value.to_le_bytes());
    }
    hex::encode(hasher.finalize())
}
