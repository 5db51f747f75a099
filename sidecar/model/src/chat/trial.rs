//! Each template is tried once when a model is loaded: what fails then would fail at each request.

use super::template::ChatTemplate;
use super::{Chat, ChatOptions, TemplateError, call_format};
use crate::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};

impl Chat {
    /// Renders conversations of each kind. A template may refuse any; none may fail.
    ///
    /// # Errors
    /// What failed, and why.
    pub(crate) fn check(&self, tokenizer: &Tokenizer) -> Result<(), String> {
        self.try_all(tokenizer)
            .map_err(|error| format!("{error}; mend the template in the model's files"))
    }

    fn try_all(&self, tokenizer: &Tokenizer) -> Result<(), String> {
        match &self.template {
            Err(TemplateError::Missing) => Ok(()),
            Err(error) => Err(reason(error)),
            Ok(template) => check(template, tokenizer, self.tool_template.is_none()),
        }?;
        match &self.tool_template {
            None => Ok(()),
            Some(Err(error)) => Err(format!("the one for tools, {}", reason(error))),
            Some(Ok(template)) => with_tools(template, tokenizer)
                .map_err(|error| format!("the one for tools, {error}")),
        }
    }
}

fn check(template: &ChatTemplate, tokenizer: &Tokenizer, has_tools: bool) -> Result<(), String> {
    let user = || json!({ "role": "user", "content": "a" });
    let answer = json!({ "role": "assistant", "content": "b", "reasoning_content": "c" });
    let none = Map::new;
    let thinking = Map::from_iter([("enable_thinking".to_owned(), true.into())]);
    let system = json!({ "role": "system", "content": "d" });
    for (kind, messages, variables) in [
        ("a plain conversation", vec![user()], none()),
        ("a system message", vec![system, user()], none()),
        ("an earlier answer with reasoning", vec![user(), answer, user()], thinking),
    ] {
        render(template, tokenizer, &messages, variables)
            .map_err(|error| format!("for {kind}, {error}"))?;
    }
    if has_tools && template.source_mentions("tools") {
        with_tools(template, tokenizer)?;
    }
    Ok(())
}

/// Templates want the arguments of earlier calls as an object, or as its text.
fn with_tools(template: &ChatTemplate, tokenizer: &Tokenizer) -> Result<(), String> {
    let (messages, tools) = call_format::sample_conversation();
    let messages = messages.as_array().cloned().unwrap_or_default();
    let variables = || Map::from_iter([("tools".to_owned(), tools.clone())]);
    render(template, tokenizer, &messages[..1], variables())
        .map_err(|error| format!("for tools, {error}"))?;
    render(template, tokenizer, &messages, variables())
        .or_else(|error| {
            let mut as_text = messages.clone();
            let arguments = &mut as_text[1]["tool_calls"][0]["function"]["arguments"];
            *arguments = arguments.to_string().into();
            render(template, tokenizer, &as_text, variables()).map_err(|_| error)
        })
        .map_err(|error| format!("for a call of a tool, {error}"))
}

fn render(
    template: &ChatTemplate,
    tokenizer: &Tokenizer,
    messages: &[Value],
    variables: Map<String, Value>,
) -> Result<(), String> {
    let options = ChatOptions { variables, ..ChatOptions::default() };
    match template.prompt(tokenizer, messages, &options) {
        Ok(_) | Err(TemplateError::Refused(_)) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

/// The reason alone.
fn reason(error: &TemplateError) -> String {
    match error {
        TemplateError::Failed(what) => what.clone(),
        other => other.to_string(),
    }
}
