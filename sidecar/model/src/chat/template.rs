//! Chat templates: Jinja from the model's files, which are untrusted input, rendered under limits.

use super::jinja::{self, REFUSED};
use crate::tokenizer::Tokenizer;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind};
use serde_json::Map;

/// Steps that a template may take: enough for thousands of messages. Every 64 bytes of text that is
/// produced also cost a step, so that doubling a text again and again ends at 128 MB.
const FUEL: u64 = 2_000_000;
/// What the template is called in its environment, and in its error messages.
const NAME: &str = "chat";
/// Longest template.
const MAX_TEMPLATE_BYTES: usize = 1 << 20;
/// Longest rendered prompt.
const MAX_PROMPT_BYTES: usize = 64 << 20;

/// Input of a chat template other than the messages.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
    /// Whether the prompt ends with the start of the assistant's turn, so that the model answers.
    /// True by default.
    pub add_generation_prompt: bool,
    /// Whether the prompt ends where the content of the last message does, so that the model goes
    /// on with it. Not together with `add_generation_prompt`.
    pub continue_final_message: bool,
    /// Further variables of the template, such as `tools` or `enable_thinking`. As in messages,
    /// text that looks like a control token stays plain text.
    pub variables: Map<String, serde_json::Value>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self { add_generation_prompt: true, continue_final_message: false, variables: Map::new() }
    }
}

/// Why messages were not turned into a prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The model has no template.
    #[error("the model has no chat template: it is a base model; use a chat model")]
    Missing,
    /// The template refuses these messages.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    /// The template cannot be rendered.
    #[error("the model's chat template failed: {0}")]
    Failed(String),
}

/// A compiled chat template.
#[derive(Debug)]
pub(super) struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles a template.
    pub(super) fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::Failed("it is longer than 1 MiB".into()));
        }
        let environment = jinja::environment(NAME, source, FUEL)
            .map_err(|error| TemplateError::Failed(error.to_string()))?;
        Ok(Self { environment })
    }

    /// Whether the template's own text has this name in it.
    pub(super) fn source_mentions(&self, name: &str) -> bool {
        self.environment.get_template(NAME).is_ok_and(|template| template.source().contains(name))
    }

    /// Text of a conversation with tools; `None` where the template fails.
    pub(super) fn render_sample(
        &self,
        tokenizer: &Tokenizer,
        messages: serde_json::Value,
        tools: serde_json::Value,
    ) -> Option<String> {
        let variables =
            Map::from_iter([("messages".to_owned(), messages), ("tools".to_owned(), tools)]);
        let (rendered, _) = self.render(tokenizer, variables, false).ok()?;
        Some(rendered)
    }

    /// Renders the messages and tokenizes the result.
    pub(super) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[serde_json::Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        let mut variables = options.variables.clone();
        variables.insert("messages".into(), messages.to_vec().into());
        let (mut text, mark) = self.render(tokenizer, variables, options.add_generation_prompt)?;
        if options.continue_final_message {
            let last = messages.last().and_then(|message| message["content"].as_str());
            cut_after(&mut text, &tokenizer.break_control(last.unwrap_or_default().into(), mark))?;
        }
        let mut tokens = tokenizer.encode_marked(&text, Some(mark));
        tokenizer.add_bos(&mut tokens);
        Ok(tokens)
    }

    /// The rendered text, and the mark inside everything that only looks like a control token.
    fn render(
        &self,
        tokenizer: &Tokenizer,
        variables: Map<String, serde_json::Value>,
        add_generation_prompt: bool,
    ) -> Result<(String, char), TemplateError> {
        let mut values = serde_json::Value::Object(variables);
        let mark = unused_mark(&values)?;
        break_control(&mut values, mark, tokenizer);
        let serde_json::Value::Object(mut variables) = values else {
            return Err(TemplateError::Failed("its variables are not an object".into()));
        };
        variables.insert("add_generation_prompt".into(), add_generation_prompt.into());
        // As in transformers, these are there, and none, where nothing was given.
        for name in ["tools", "documents"] {
            variables.entry(name).or_insert(serde_json::Value::Null);
        }
        for (name, text) in ["bos_token", "eos_token"].into_iter().zip(tokenizer.boundary_texts()) {
            variables.insert(name.into(), text.unwrap_or_default().into());
        }
        let mut out = Bounded::default();
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| TemplateError::Failed(error.to_string()))?;
        template
            .render_captured_to(Serde(&variables), &mut out)
            .map_err(|error| template_error(&error))?;
        let text = String::from_utf8(out.0)
            .map_err(|_| TemplateError::Failed("its output is not text".into()))?;
        Ok((text, mark))
    }
}

/// Cuts a rendered conversation where the content of its last message ends. Templates may trim it.
fn cut_after(text: &mut String, content: &str) -> Result<(), TemplateError> {
    let refused = || TemplateError::Refused("the last message does not stand in the prompt".into());
    let trimmed = content.trim();
    let at = text.rfind(trimmed).filter(|_| !trimmed.is_empty()).ok_or_else(refused)?;
    let whole = content.trim_start();
    let kept = if text[at..].starts_with(whole) { whole.len() } else { trimmed.len() };
    text.truncate(at + kept);
    Ok(())
}

fn template_error(error: &minijinja::Error) -> TemplateError {
    match error.detail().and_then(|detail| detail.strip_prefix(REFUSED)) {
        Some(message) => TemplateError::Refused(message.to_owned()),
        None if error.kind() == ErrorKind::OutOfFuel => {
            TemplateError::Failed("it takes too many steps".into())
        }
        None => TemplateError::Failed(error.to_string()),
    }
}

/// A character that occurs nowhere in the values: one of Unicode's noncharacters.
fn unused_mark(values: &serde_json::Value) -> Result<char, TemplateError> {
    let text = values.to_string();
    ('\u{fdd0}'..='\u{fdef}')
        .find(|&mark| !text.contains(mark))
        .ok_or_else(|| TemplateError::Refused("they hold every noncharacter of Unicode".into()))
}

/// Puts the mark into everything in the values that looks like a control token, so that it stays
/// text.
fn break_control(value: &mut serde_json::Value, mark: char, tokenizer: &Tokenizer) {
    match value {
        serde_json::Value::String(text) => {
            *text = tokenizer.break_control(std::mem::take(text), mark);
        }
        serde_json::Value::Array(values) => {
            values.iter_mut().for_each(|value| break_control(value, mark, tokenizer));
        }
        serde_json::Value::Object(values) => {
            let broken = std::mem::take(values).into_iter().map(|(name, mut value)| {
                break_control(&mut value, mark, tokenizer);
                (tokenizer.break_control(name, mark), value)
            });
            *values = broken.collect();
        }
        _ => {}
    }
}

/// A buffer that refuses to grow beyond the longest prompt.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_PROMPT_BYTES {
            return Err(std::io::Error::other("the prompt is longer than 64 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
