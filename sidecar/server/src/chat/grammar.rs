//! The grammar of a response: of its format, and of calls whose arguments must fit.

use super::request::{ChatRequest, Function, ResponseFormat, ToolChoice, Tools};
use crate::http::ApiError;
use crate::openai::unsupported;
use personaguard_model::{CallMode, Callable, Grammar, GrammarError, Model};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Requests whose schemas are compiled at the same time: a flood of them must not take the
/// processor from the model.
static COMPILING: Semaphore = Semaphore::const_new(2);

/// Compiles what a response must look like; none where it may be any text.
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
    /// Whether calls must be constrained.
    fn constrains(&self) -> bool {
        self.choice != ToolChoice::Auto || self.functions.iter().any(|function| function.strict)
    }

    fn compile(&self, model: &Model, format: Option<&ResponseFormat>) -> Result<Grammar, ApiError> {
        let callables: Vec<Callable> =
            self.callable_functions().iter().map(|function| self.callable(function)).collect();
        let mode = match (self.choice, format) {
            (ToolChoice::Required | ToolChoice::Named(_), _) => CallMode::Required,
            (ToolChoice::Auto, Some(format)) => {
                CallMode::OrJson(format.schema().ok_or_else(|| not_with_tools(format))?)
            }
            (ToolChoice::Auto, None) => CallMode::Optional,
        };
        model
            .tool_call_grammar(&callables, &mode, self.max_calls)
            .map_err(|error| self.refusal(model, &callables, format, &error))
    }

    /// Functions that may be called here.
    fn callable_functions(&self) -> &[Function] {
        match self.choice {
            ToolChoice::Named(index) => &self.functions[index..=index],
            ToolChoice::Auto | ToolChoice::Required => &self.functions,
        }
    }

    /// Where the model may choose to call, arguments must fit the schema only in strict mode.
    fn callable(&self, function: &Function) -> Callable {
        let any = self.choice == ToolChoice::Auto && !function.strict;
        let arguments = if any { json!({ "type": "object" }) } else { function.parameters.clone() };
        Callable { name: function.name.clone(), arguments }
    }

    /// Names the schema that does not compile.
    fn refusal(
        &self,
        model: &Model,
        callables: &[Callable],
        format: Option<&ResponseFormat>,
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

fn not_with_tools(format: &ResponseFormat) -> ApiError {
    let param = format.param();
    let message =
        format!("'{param}' is not supported with 'tools': give a JSON schema, or no tools.");
    unsupported(param, &message)
}
