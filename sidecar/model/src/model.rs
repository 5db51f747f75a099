//! A loaded model: weights, tokenizer and chat template of one file or folder.

mod options;

pub use options::{Device, LoadOptions};

use crate::chat::{Chat, ChatOptions, TemplateError, ToolCallFormat};
use crate::decoder::{Decoder, MAX_HEAD_DIM, Placement};
use crate::error::LoadError;
use crate::grammar::{CallMode, Callable, Grammar, GrammarCompiler, GrammarError, TextForm};
use crate::kernel::layout::BLOCK_SIZE;
use crate::load;
use crate::load::ChatTemplates;
use crate::load::adapter::Adapter;
use crate::pool::ThreadPool;
use crate::tokenizer::Tokenizer;
use crate::weights::{self, Weights};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// A model in memory. It is immutable; [`crate::Engine::start`] runs it.
#[derive(Debug)]
pub struct Model {
    name: String,
    digest: String,
    context_length: usize,
    tokenizer: Tokenizer,
    chat: Chat,
    grammars: GrammarCompiler,
    decoder: Decoder,
    pool: ThreadPool,
}

impl Model {
    /// Reads a GGUF file, or a Hugging Face folder with `config.json`, `tokenizer.json` and
    /// safetensors.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_on(path, options, &options.device.placement()?)
    }

    pub(crate) fn load_on(
        path: &Path,
        options: &LoadOptions,
        placement: &Placement,
    ) -> Result<Self, LoadError> {
        let threads = options.threads()?;
        let mut files = load::open(path)?;
        let rows = files.embedding_rows();
        let config = files.config;
        if config.head_dim > MAX_HEAD_DIM {
            return Err(LoadError::unsupported(format!("heads of {} values", config.head_dim)));
        }
        let (adapter, adapter_digest) = match &options.adapter {
            None => (Adapter::default(), None),
            Some(_) if files.digest.is_file() => {
                return Err(LoadError::options(
                    "an adapter is added to weights that are not quantized: give the base model as \
                     a folder with safetensors",
                ));
            }
            Some(folder) => {
                let (adapter, digest) = Adapter::open(folder, files.architecture, &config)?;
                (adapter, Some(digest))
            }
        };
        let pool = ThreadPool::new(threads)
            .map_err(|source| LoadError::Io { path: path.to_path_buf(), source })?;
        let (weights, tokenizer) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| Tokenizer::new(&files.tokenizer, rows));
            let weights = Weights::read(&mut files.tensors, adapter, &config, &pool);
            let tokenizer = tokenizer
                .join()
                .unwrap_or_else(|_| Err(LoadError::corrupt("its tokenizer could not be built")));
            (weights, tokenizer)
        });
        let (weights, digests) = weights?;
        let mut digest = files.digest.digest(&digests);
        if let Some(adapter_digest) = adapter_digest {
            // These are not the base model's weights: none of its vectors fits.
            digest = hex::encode(Sha256::digest([digest.as_bytes(), &adapter_digest].concat()));
        }
        check_digest(&digest, options)?;
        let tokenizer = tokenizer?;
        let ChatTemplates { default, tool_use } = files.chat_templates;
        let chat = Chat::new(default.as_deref(), tool_use.as_deref());
        chat.check(&tokenizer).map_err(LoadError::template)?;
        let file_name =
            || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let context_length =
            options.context_length.unwrap_or(usize::MAX).clamp(1, config.context_length);
        Ok(Self {
            name: files.name.unwrap_or_else(file_name),
            digest,
            context_length,
            chat,
            grammars: GrammarCompiler::default(),
            tokenizer,
            decoder: Decoder::new(config, weights, context_length, &pool, placement)
                .map_err(|error| LoadError::options(error.to_string()))?,
            pool,
        })
    }

    /// SHA-256 of the weight file, 64 lower-case hex digits; persona vectors are bound to it. Of a
    /// folder: SHA-256 of what `sha256sum` prints for the files that are read (weights, their
    /// index, `config.json`, `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`,
    /// and the files with chat templates), in byte order of their names.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The model's own name for itself, or the file's where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of blocks L; layer numbers are 0..=L.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.decoder.config().layers
    }

    /// Number of values of the hidden state.
    #[must_use]
    pub fn hidden_size(&self) -> usize {
        self.decoder.config().hidden_size
    }

    /// Number of tokens that the weights know.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.decoder.vocab_size()
    }

    /// Most tokens of prompt and response together.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Number of threads that compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Approximate bytes of the weights in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.decoder.bytes()
    }

    /// Bytes of KV cache that this many tokens take, in whole blocks.
    #[must_use]
    pub fn kv_bytes(&self, tokens: usize) -> usize {
        tokens.div_ceil(BLOCK_SIZE) * self.decoder.cache_layout().block_bytes()
    }

    /// The tokenizer that came with the weights.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Renders messages by the model's chat template, and tokenizes the result.
    ///
    /// `messages` are objects as in OpenAI's API, `{"role": …, "content": …}`. Text that looks like
    /// a control token inside a message is tokenized as plain text: a user cannot end a turn, or
    /// open a system message.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn chat_prompt(
        &self,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        self.chat.prompt(&self.tokenizer, messages, options)
    }

    /// As [`Self::chat_prompt`], with functions that the response may call.
    ///
    /// `tools` are objects as in OpenAI's API, `{"type": "function", "function": {…}}`. Messages
    /// may hold calls (`tool_calls`, with `arguments` as an object) and results (role `tool`). A
    /// chat template that knows tools gets all this as it is. For any other, calls and results
    /// become text of their turns, and the functions are described in the system message, or in the
    /// first message where the template takes no system message. System messages that the template
    /// refuses where they stand are put in front, or into the first message of the user.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn tool_prompt(
        &self,
        messages: &[Value],
        tools: &[Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        self.chat.tool_prompt(&self.tokenizer, messages, tools, options)
    }

    /// How this model writes tool calls: as its chat template does, or as Hermes where that knows
    /// no tools.
    #[must_use]
    pub fn tool_call_format(&self) -> ToolCallFormat {
        self.chat.call_format(&self.tokenizer)
    }

    /// The grammar of JSON that fits a schema. Compiling takes milliseconds and some megabytes,
    /// with any schema: not for async code.
    ///
    /// # Errors
    /// See [`GrammarError`]. A feature of JSON Schema that is not supported is named, not ignored.
    pub fn json_schema_grammar(&self, schema: &Value) -> Result<Grammar, GrammarError> {
        self.grammars.json_schema(&self.tokenizer, schema)
    }

    /// The grammar of texts of one form. Not for async code.
    ///
    /// # Errors
    /// See [`GrammarError`].
    pub fn text_grammar(&self, form: &TextForm) -> Result<Grammar, GrammarError> {
        self.grammars.text(&self.tokenizer, form)
    }

    /// The grammar of calls, in this model's format, of at least one function. There are at most
    /// `max_calls`, at least 1, calls in a response; but always one in [`ToolCallFormat::Llama3`],
    /// and any number with [`CallMode::Optional`]. Not for async code.
    ///
    /// # Errors
    /// See [`GrammarError`]; it does not tell which of several schemas is at fault.
    pub fn tool_call_grammar(
        &self,
        functions: &[Callable],
        mode: &CallMode,
        max_calls: usize,
    ) -> Result<Grammar, GrammarError> {
        let format = self.tool_call_format();
        self.grammars.tool_calls(&self.tokenizer, format, functions, mode, max_calls)
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn pool(&self) -> &ThreadPool {
        &self.pool
    }
}

/// What [`Model::digest`] of a file or folder is, without loading its weights.
///
/// # Errors
/// See [`LoadError`].
pub fn digest_of(path: &Path) -> Result<String, LoadError> {
    let mut files = load::open(path)?;
    let digests: Vec<_> =
        files.tensors.iter_mut().map(weights::digest).collect::<Result<_, _>>()?;
    Ok(files.digest.digest(&digests))
}

fn check_digest(digest: &str, options: &LoadOptions) -> Result<(), LoadError> {
    match options.expected_sha256.as_deref().map(str::trim) {
        Some(expected) if !expected.eq_ignore_ascii_case(digest) => {
            Err(LoadError::DigestMismatch {
                expected: expected.to_lowercase(),
                found: digest.to_owned(),
            })
        }
        _ => Ok(()),
    }
}
