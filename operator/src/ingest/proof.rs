//! Which process made a push: the one that holds the key it is signed with.

use super::error::PushError;
use axum::http::HeaderMap;
use personaguard_wire::{KEY_HEADER, SIGNATURE_HEADER, instance_of, signed_text};
use ring::signature::{ED25519, UnparsedPublicKey};

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// The id of the process that signed a body.
pub(super) fn signer(headers: &HeaderMap, body: &[u8]) -> Result<String, PushError> {
    let missing = |header| {
        PushError::Unauthenticated(format!(
            "header {header} is missing or malformed: reports are signed since version 0.2, so \
             restart the pod for a sidecar of the operator's version"
        ))
    };
    let key: [u8; KEY_BYTES] = bytes(headers, KEY_HEADER).ok_or_else(|| missing(KEY_HEADER))?;
    let signature: [u8; SIGNATURE_BYTES] =
        bytes(headers, SIGNATURE_HEADER).ok_or_else(|| missing(SIGNATURE_HEADER))?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed_text(body), &signature)
        .map_err(|_| PushError::Unauthenticated("the signature does not fit".to_owned()))?;
    Ok(instance_of(&key))
}

fn bytes<const N: usize>(headers: &HeaderMap, name: &str) -> Option<[u8; N]> {
    let text = headers.get(name)?.to_str().ok()?;
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests;
