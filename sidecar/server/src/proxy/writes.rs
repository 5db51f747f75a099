//! A request that makes a model write: who scores what it writes.

use super::context::Context;
use super::path::Api;
use super::{guarded, linked, unguarded};
use crate::http::ApiError;
use crate::runtime::Served;
use crate::session::not_ready;
use axum::extract::Request;
use axum::response::Response;
use personaguard_guard::UnscoredReason;
use personaguard_terms::FailurePolicy;

pub(super) async fn answer(
    context: &Context,
    api: Api,
    request: Request,
) -> Result<Response, ApiError> {
    match context.app.served() {
        None => unready(context, request).await,
        Some(served) if served.in_force().plan.policies.is_empty() => {
            context.forwarder.send(request).await
        }
        Some(Served::Own(active)) => guarded::answer(context, api, active, request).await,
        Some(Served::Linked(linked)) => linked::answer(context, api, linked, request).await,
    }
}

/// No model is loaded that could score.
async fn unready(context: &Context, request: Request) -> Result<Response, ApiError> {
    if context.app.snapshot().failure_policy != Some(FailurePolicy::Open) {
        return Err(not_ready(&context.app));
    }
    let response = context.forwarder.send(request).await?;
    if response.status().is_success() {
        unguarded::count(&context.app, UnscoredReason::ModelNotReady);
    }
    Ok(response)
}
