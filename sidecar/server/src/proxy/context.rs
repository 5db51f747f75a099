//! What the handlers share.

use super::forward::Forwarder;
use super::names::Names;
use super::timeouts::Timeouts;
use crate::http::Limits;
use crate::runtime::AppState;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) app: Arc<AppState>,
    pub(super) forwarder: Forwarder,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    /// Set once the upstream server has shown that it can give the tokens of its text.
    pub(super) knows_tokens: Arc<AtomicBool>,
    /// Models that clients have asked for.
    pub(super) names: Names,
}
