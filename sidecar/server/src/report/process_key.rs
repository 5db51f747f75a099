//! The key of this process: made when it starts, kept in memory alone, and gone with it.

use personaguard_wire::{instance_of, signed_text};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fmt;

/// Signs reports, so that nobody else can report for this process.
pub struct ProcessKey(Ed25519KeyPair);

impl ProcessKey {
    /// A new key, from the thread's cryptographic generator.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a seed is refused only where it has not 32 bytes")]
    pub fn new() -> Self {
        let seed: [u8; 32] = rand::random();
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of 32 bytes"))
    }

    /// The id of this process.
    #[must_use]
    pub fn instance(&self) -> String {
        instance_of(self.0.public_key().as_ref())
    }

    /// The public key in hexadecimal.
    pub(super) fn public(&self) -> String {
        hex::encode(self.0.public_key())
    }

    /// The signature of a report's body in hexadecimal.
    pub(super) fn sign(&self, body: &[u8]) -> String {
        hex::encode(self.0.sign(&signed_text(body)))
    }
}

impl Default for ProcessKey {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessKey").field(&self.instance()).finish()
    }
}
