//! What an answer must look like: the field `response_format`, and calls of functions whose
//! arguments must fit.

use super::error::ApiError;
use super::format::Format;
use super::request::ChatRequest;
use super::request::tools::{Choice, Function, Tools};
use personaguard_model::{CallMode, Callable, Grammar, GrammarError, Model};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Requests whose schemas are compiled at the same time: a flood of them must not take the
/// processor from the model.
static COMPILING: Semaphore = Semaphore::const_new(2);

/// Compiles what a request wants its answer to look like; none where it may be any text.
pub(super) async fn compile(
    model: &Arc<Model>,
    request: &ChatRequest,
) -> Result<Option<Grammar>, ApiError> {
    let format = request.format.clone();
    let tools = request.tools.clone().filter(|tools| format.is_some() || tools.constrains());
    if format.is_none() && tools.is_none() {
        return Ok(None);
    }
    let failed = || ApiError::internal("The format of the answer could not be prepared.");
    let place = COMPILING.acquire().await.map_err(|_| failed())?;
    let model = Arc::clone(model);
    let compiled = tokio::task::spawn_blocking(move || {
        // Compiled to the end, also where the client has left.
        let _place = place;
        match (&tools, &format) {
            (Some(tools), format) => tools.compile(&model, format.as_ref()),
            (None, Some(format)) => format.compile(&model),
            (None, None) => Err(failed()),
        }
    });
    compiled.await.map_err(|_| failed())?.map(Some)
}

impl Tools {
    /// Whether the model must be held to something, as far as calls go.
    fn constrains(&self) -> bool {
        self.choice != Choice::Auto || self.functions.iter().any(|function| function.strict)
    }

    fn compile(&self, model: &Model, format: Option<&Format>) -> Result<Grammar, ApiError> {
        let callables: Vec<Callable> =
            self.wanted().iter().map(|function| self.callable(function)).collect();
        let mode = match (self.choice, format) {
            (Choice::Required | Choice::Named(_), _) => CallMode::Required,
            (Choice::Auto, Some(format)) => CallMode::OrJson(format.schema()),
            (Choice::Auto, None) => CallMode::Optional,
        };
        model
            .tool_call_grammar(&callables, &mode, self.most)
            .map_err(|error| self.refusal(model, &callables, format, &error))
    }

    /// Functions that may be called here.
    fn wanted(&self) -> &[Function] {
        match self.choice {
            Choice::Named(index) => &self.functions[index..=index],
            Choice::Auto | Choice::Required => &self.functions,
        }
    }

    /// Where a call is the model's own choice, its arguments fit the schema if that is asked for.
    fn callable(&self, function: &Function) -> Callable {
        let any = self.choice == Choice::Auto && !function.strict;
        let arguments = if any { json!({ "type": "object" }) } else { function.parameters.clone() };
        Callable { name: function.name.clone(), arguments }
    }

    /// Names the schema that does not compile.
    fn refusal(
        &self,
        model: &Model,
        callables: &[Callable],
        format: Option<&Format>,
        error: &GrammarError,
    ) -> ApiError {
        let mut each = callables.iter();
        if let Some((name, error)) = each
            .find_map(|each| Some((&each.name, model.json_schema_grammar(&each.arguments).err()?)))
        {
            let index = self
                .functions
                .iter()
                .position(|function| &function.name == name)
                .unwrap_or_default();
            let message = format!("Invalid schema for function '{name}': {error}.");
            let param = format!("tools[{index}].function.parameters");
            return ApiError::invalid(param, "invalid_function_parameters", message);
        }
        match format.and_then(|format| format.compile(model).err()) {
            Some(refusal) => refusal,
            None => {
                let message =
                    format!("Invalid 'tools': their schemas together are too large: {error}.");
                ApiError::invalid("tools", "invalid_function_parameters", message)
            }
        }
    }
}
