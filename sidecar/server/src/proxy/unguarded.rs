//! Responses that leave unscored.

use crate::report::ResponseFlags;
use crate::runtime::AppState;
use personaguard_guard::{Decision, Plan, UnscoredReason};
use std::sync::Arc;

/// Counts one.
pub(super) fn count(app: &AppState, reason: UnscoredReason) {
    app.metrics.responses.count_unguarded(reason);
    app.ledger.count_response(
        &Decision::new(Arc::new(Plan::default())),
        ResponseFlags { unguarded: true, ..ResponseFlags::default() },
    );
}
