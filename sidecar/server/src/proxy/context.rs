//! What the handlers share.

use super::forward::Forwarder;
use super::timeouts::Timeouts;
use crate::host::Host;
use crate::http::Limits;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) host: Arc<Host>,
    pub(super) forwarder: Forwarder,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
}
