//! How a report is tied to the process that makes it. A sidecar makes an Ed25519 key when it
//! starts, keeps it in memory, and signs each push. Its `instance` is the digest of the public key:
//! a report of one process cannot be made by anyone else, whatever token they hold.

use personaguard_terms::Digest;

/// Header with the public key, in hexadecimal.
pub const KEY_HEADER: &str = "personaguard-key";

/// Header with the signature of [`signed_text`], in hexadecimal.
pub const SIGNATURE_HEADER: &str = "personaguard-signature";

/// The [`instance`](crate::SidecarReport::instance) of the process that has this public key.
#[must_use]
pub fn instance_of(public_key: &[u8]) -> String {
    Digest::of(public_key).to_string()
}

/// What is signed: the body, after words that keep the signature from meaning anything else.
#[must_use]
pub fn signed_text(body: &[u8]) -> Vec<u8> {
    [b"personaguard report\n", body].concat()
}
