//! Models, as `/v1/models` lists them.

use serde::Serialize;

/// One model.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelBody {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

impl ModelBody {
    pub(crate) fn new(id: String, created: i64) -> Self {
        Self { id, object: "model", created, owned_by: "personaguard" }
    }
}

/// A list of models.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ModelList {
    object: &'static str,
    data: Vec<ModelBody>,
}

impl ModelList {
    pub(crate) fn new(data: Vec<ModelBody>) -> Self {
        Self { object: "list", data }
    }
}
