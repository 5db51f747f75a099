//! `/v1/models`: the one model that is served, under each of its names.

use crate::http::ApiError;
use crate::openai::{ModelBody, ModelList};
use crate::runtime::{ActiveModel, AppState};
use crate::session::not_ready;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;

fn body(active: &ActiveModel, name: &str) -> ModelBody {
    ModelBody::new(name.to_owned(), active.created)
}

/// Whether a request asks for the model that serves.
pub(super) fn check(active: &ActiveModel, asked: &str) -> Result<(), ApiError> {
    match active.is_called(asked) {
        true => Ok(()),
        false => Err(ApiError::model_not_found(asked, &active.name)),
    }
}

/// The list of models: the names of the one that serves, none before.
pub(super) async fn list(State(app): State<Arc<AppState>>) -> Json<ModelList> {
    let active = app.active_model();
    let names = active.iter().flat_map(|active| active.names().map(|name| body(active, name)));
    Json(ModelList::new(names.collect()))
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
    check(&active, &id)?;
    Ok(Json(body(&active, &id)))
}
