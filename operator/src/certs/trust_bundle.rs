//! The authorities that sidecars and Jobs are to trust.

use std::sync::{Arc, PoisonError, RwLock};

/// A PEM bundle, shared by those who write it into configs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustBundle(Arc<RwLock<String>>);

impl TrustBundle {
    pub(crate) fn pem(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the bundle before.
    pub(super) fn replace(&self, pem: String) -> String {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), pem)
    }
}
