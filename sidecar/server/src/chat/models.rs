//! `/v1/models`: the one model that is served.

use crate::http::ApiError;
use crate::runtime::{ActiveModel, AppState};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

fn object(active: &ActiveModel) -> Value {
    json!({ "id": active.name, "object": "model", "created": active.created, "owned_by": "personaguard" })
}

/// The list of models: one while it serves, none before.
pub(super) async fn list(State(app): State<Arc<AppState>>) -> Json<Value> {
    let data: Vec<_> = app.active_model().iter().map(|active| object(active)).collect();
    Json(json!({ "object": "list", "data": data }))
}

/// One model.
pub(super) async fn get(
    State(app): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Ok(Path(id)) = id else {
        return Err(ApiError::body(
            StatusCode::BAD_REQUEST,
            "invalid_utf8",
            "The path is not valid UTF-8.",
        ));
    };
    let active = app.active_model().ok_or_else(|| crate::session::not_ready(&app))?;
    if id == active.name {
        Ok(Json(object(&active)))
    } else {
        Err(ApiError::model_not_found(&id, &active.name))
    }
}
