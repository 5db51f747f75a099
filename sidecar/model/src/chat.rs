//! From messages to a prompt: the model's chat template, and tools for templates that know none.

mod call_format;
mod template;
mod tool_text;

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
    /// How the template writes tool calls; determined when it is first needed.
    call_format: OnceLock<Option<ToolCallFormat>>,
}

impl Chat {
    /// `source` is the template's.
    pub(crate) fn new(source: Option<&str>) -> Self {
        let template = source.map_or(Err(TemplateError::Missing), ChatTemplate::new);
        Self { template, call_format: OnceLock::new() }
    }

    /// Renders the messages and tokenizes the result.
    pub(crate) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        let template = self.template.as_ref().map_err(TemplateError::clone)?;
        template.prompt(tokenizer, messages, options)
    }

    /// As [`Self::prompt`], with functions that the response may call.
    pub(crate) fn tool_prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Value],
        tools: &[Value],
    ) -> Result<Vec<u32>, TemplateError> {
        let mut options = ChatOptions::default();
        if self.template_call_format(tokenizer).is_some() {
            if !tools.is_empty() {
                options.variables.insert("tools".into(), tools.into());
            }
            return self.prompt(tokenizer, messages, &options);
        }
        let messages = tool_messages_as_text(messages);
        if tools.is_empty() {
            return self.prompt(tokenizer, &messages, &options);
        }
        let described = describe_functions(&messages, tools, DescribeIn::System);
        match self.prompt(tokenizer, &described, &options) {
            // Some templates take no system message.
            Err(TemplateError::Refused(_)) if messages[0]["role"] != "system" => {
                let described = describe_functions(&messages, tools, DescribeIn::User);
                self.prompt(tokenizer, &described, &options)
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
            let rendered =
                self.template.as_ref().ok()?.render_sample(tokenizer, messages, tools)?;
            call_format::detect(&rendered)
        })
    }
}

#[cfg(test)]
mod tests;
