//! From messages to a prompt: the model's chat template, and tools for templates that know none.

mod call_format;
mod jinja;
mod system;
mod template;
mod tool_text;
mod trial;

pub use call_format::{TOOL_CALL_END, TOOL_CALL_START, ToolCallFormat};
pub use template::{ChatOptions, TemplateError};

use crate::tokenizer::Tokenizer;
use serde_json::Value;
use std::sync::OnceLock;
use template::ChatTemplate;
use tool_text::{DescribeIn, describe_functions, tool_messages_as_text};

/// A model's chat template, if it has one that compiles.
#[derive(Debug)]
pub(crate) struct Chat {
    template: Result<ChatTemplate, TemplateError>,
    /// What stands in for it where there are tools.
    tool_template: Option<Result<ChatTemplate, TemplateError>>,
    /// How the template writes tool calls; determined when it is first needed.
    call_format: OnceLock<Option<ToolCallFormat>>,
}

impl Chat {
    /// The model's template, and its template for conversations with tools where that is another.
    pub(crate) fn new(source: Option<&str>, with_tools: Option<&str>) -> Self {
        Self {
            template: source.map_or(Err(TemplateError::Missing), ChatTemplate::new),
            tool_template: with_tools.map(ChatTemplate::new),
            call_format: OnceLock::new(),
        }
    }

    /// The template for a conversation with or without tools.
    fn template(&self, has_tools: bool) -> Result<&ChatTemplate, TemplateError> {
        let template = self.tool_template.as_ref().filter(|_| has_tools);
        template.unwrap_or(&self.template).as_ref().map_err(TemplateError::clone)
    }

    /// Renders the messages and tokenizes the result.
    pub(crate) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        let tools = options.variables.get("tools").and_then(Value::as_array);
        let template = self.template(tools.is_some_and(|tools| !tools.is_empty()))?;
        template.prompt(tokenizer, messages, options)
    }

    /// As [`Self::prompt`], with functions that the response may call, and with system messages
    /// where the template takes them.
    pub(crate) fn tool_prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        let given = self.prompt_as_given(tokenizer, messages, tools, options);
        let Err(TemplateError::Refused(_)) = &given else { return given };
        for arranged in system::arrangements(messages) {
            match self.prompt_as_given(tokenizer, &arranged, tools, options) {
                Err(TemplateError::Refused(_)) => {}
                prompt => return prompt,
            }
        }
        given
    }

    fn prompt_as_given(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        if self.template_call_format(tokenizer).is_some() {
            let mut options = options.clone();
            if !tools.is_empty() {
                options.variables.insert("tools".into(), tools.into());
            }
            return self.prompt(tokenizer, messages, &options);
        }
        let messages = tool_messages_as_text(messages);
        if tools.is_empty() {
            return self.prompt(tokenizer, &messages, options);
        }
        let described = describe_functions(&messages, tools, DescribeIn::System);
        match self.prompt(tokenizer, &described, options) {
            // Some templates take no system message.
            Err(TemplateError::Refused(_)) if messages[0]["role"] != "system" => {
                let described = describe_functions(&messages, tools, DescribeIn::User);
                self.prompt(tokenizer, &described, options)
            }
            prompt => prompt,
        }
    }

    /// How the model writes tool calls: as its template does, or as Hermes where that knows no
    /// tools.
    pub(crate) fn call_format(&self, tokenizer: &Tokenizer) -> ToolCallFormat {
        self.template_call_format(tokenizer).unwrap_or(ToolCallFormat::Hermes)
    }

    /// How the template writes tool calls; `None` where it knows no tools.
    fn template_call_format(&self, tokenizer: &Tokenizer) -> Option<ToolCallFormat> {
        *self.call_format.get_or_init(|| {
            let (messages, tools) = call_format::sample_conversation();
            let rendered = self.template(true).ok()?.render_sample(tokenizer, messages, tools)?;
            call_format::detect(&rendered)
        })
    }
}

#[cfg(test)]
mod tests;
