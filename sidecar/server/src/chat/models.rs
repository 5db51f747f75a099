//! `/v1/models`: the one model that is served.

use crate::host::{Host, Serving};
use crate::http::ApiError;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

fn object(serving: &Serving) -> Value {
    json!({ "id": serving.name, "object": "model", "created": serving.created, "owned_by": "personaguard" })
}

/// The list of models: one while it serves, none before.
pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Value> {
    let data: Vec<_> = host.serving().iter().map(|serving| object(serving)).collect();
    Json(json!({ "object": "list", "data": data }))
}

/// One model.
pub(super) async fn get(
    State(host): State<Arc<Host>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Ok(Path(id)) = id else {
        return Err(ApiError::body(
            StatusCode::BAD_REQUEST,
            "invalid_utf8",
            "The path is not valid UTF-8.",
        ));
    };
    let serving = host.serving().ok_or_else(|| crate::session::not_ready(&host))?;
    if id == serving.name {
        Ok(Json(object(&serving)))
    } else {
        Err(ApiError::model_not_found(&id, &serving.name))
    }
}
