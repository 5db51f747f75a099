//! `/v1/models`: the one model that is served.

use crate::http::ApiError;
use crate::openai::{ModelBody, ModelList};
use crate::runtime::{ActiveModel, AppState};
use crate::session::not_ready;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;

fn body(active: &ActiveModel) -> ModelBody {
    ModelBody::new(active.name.clone(), active.created)
}

/// The list of models: one while it serves, none before.
pub(super) async fn list(State(app): State<Arc<AppState>>) -> Json<ModelList> {
    Json(ModelList::new(app.active_model().iter().map(|active| body(active)).collect()))
}

/// One model.
pub(super) async fn get(
    State(app): State<Arc<AppState>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelBody>, ApiError> {
    let Ok(Path(id)) = id else {
        return Err(ApiError::request(
            StatusCode::BAD_REQUEST,
            "invalid_utf8",
            "The path is not valid UTF-8.",
        ));
    };
    let active = app.active_model().ok_or_else(|| not_ready(&app))?;
    if id == active.name {
        Ok(Json(body(&active)))
    } else {
        Err(ApiError::model_not_found(&id, &active.name))
    }
}
