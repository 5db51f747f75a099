//! A loaded model: weights, tokenizer and chat template of one file or folder.

use crate::decoder::{Decoder, MAX_HEAD_WIDTH, Placement};
use crate::engine::grammar::Grammars;
use crate::kernel::attend::TOKENS;
use crate::on_disk::{Adapter, Kind, OnDisk};
use crate::pool::Pool;
use crate::template::{ChatOptions, ChatTemplate, TemplateError};
use crate::tokenizer::Tokenizer;
use crate::tools::CallForm;
use crate::weights::Weights;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// How to load a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Longest context in tokens, prompt and response together. The model's own limit where it is
    /// lower or not given.
    pub context_length: Option<usize>,
    /// Threads that compute, 1..=256. Default: what the process may use, CPU limits of its
    /// container included.
    pub threads: Option<usize>,
    /// What [`Model::digest`] must be, in hex. Other weights are refused.
    pub expected_sha256: Option<String>,
    /// Folder of a LoRA adapter in PEFT's format (`adapter_config.json`,
    /// `adapter_model.safetensors`), added to the weights as they are read. These must be a folder,
    /// too: what is quantised cannot be added to without loss.
    pub adapter: Option<PathBuf>,
    /// Where it runs.
    pub device: Device,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its number, from 0. Needs a build with the feature `cuda`.
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) if number.parse::<usize>().is_ok() => {
                Ok(Self::Cuda(number.parse().unwrap_or(0)))
            }
            _ => Err(format!("{text} is no device: give cpu, cuda or cuda:N")),
        }
    }
}

impl Device {
    fn placement(self) -> Result<Placement, LoadError> {
        match self {
            Self::Cpu => Ok(Placement::Processor),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => candle_core::Device::new_cuda(number)
                .map(Placement::Device)
                .map_err(|error| LoadError::Options {
                    what: format!(
                        "CUDA device {number} cannot be used: {error}. It takes an NVIDIA driver, and a container that is given the GPU"
                    ),
                }),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(LoadError::Options {
                what: "this build has no CUDA: use an image that was built with DEVICE=cuda, or device cpu".into(),
            }),
        }
    }
}

/// A model in memory. Immutable; [`crate::Engine::start`] runs it.
#[derive(Debug)]
pub struct Model {
    name: String,
    digest: String,
    context_length: usize,
    tokenizer: Tokenizer,
    template: Option<Result<ChatTemplate, TemplateError>>,
    pub(crate) grammars: Grammars,
    pub(crate) decoder: Decoder,
    pub(crate) pool: Pool,
}

impl Model {
    /// Reads a GGUF file, or a folder with `config.json`, `tokenizer.json` and safetensors as model
    /// hubs have it.
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
        let threads = match options.threads {
            Some(threads @ 1..=256) => threads,
            Some(threads) => {
                return Err(LoadError::Options {
                    what: format!("{threads} threads: give 1 to 256"),
                });
            }
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let OnDisk { config, mut sources, name, template, tokenizer, kind } = OnDisk::open(path)?;
        if config.head_width > MAX_HEAD_WIDTH {
            return Err(LoadError::Unsupported {
                what: format!("heads of {} values", config.head_width),
            });
        }
        let (adapter, adapter_sha) = match &options.adapter {
            None => (Adapter::default(), None),
            Some(_) if matches!(kind, Kind::File) => {
                return Err(LoadError::Options {
                    what: "an adapter is added to weights that are not quantised: give the base model as a folder with safetensors".into(),
                });
            }
            Some(folder) => {
                let (adapter, sha) = Adapter::open(folder, config.norm_offset != 0.0)?;
                (adapter, Some(sha))
            }
        };
        let pool = Pool::new(threads)
            .map_err(|source| LoadError::Io { path: path.to_path_buf(), source })?;
        let (weights, tokenizer) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(tokenizer);
            let weights = Weights::read(&mut sources, adapter, &config, &pool);
            let tokenizer = tokenizer.join().unwrap_or_else(|_| {
                Err(LoadError::Corrupt { what: "its tokenizer makes no sense".into() })
            });
            (weights, tokenizer)
        });
        let (weights, digests) = weights?;
        let digest = match adapter_sha {
            None => kind.digest(&digests),
            // Other weights than the base model's: none of its vectors fit.
            Some(sha) => {
                hex::encode(Sha256::digest([kind.digest(&digests).as_bytes(), &sha].concat()))
            }
        };
        if let Some(expected) = &options.expected_sha256
            && !expected.trim().eq_ignore_ascii_case(&digest)
        {
            return Err(LoadError::DigestMismatch {
                expected: expected.trim().to_lowercase(),
                found: digest,
            });
        }
        let tokenizer = tokenizer?;
        if tokenizer.vocabulary() > weights.embedding.rows {
            return Err(LoadError::Corrupt {
                what: format!(
                    "its tokenizer has {} tokens, its weights {}",
                    tokenizer.vocabulary(),
                    weights.embedding.rows
                ),
            });
        }
        let file_name =
            || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            name: name.unwrap_or_else(file_name),
            digest,
            context_length: options
                .context_length
                .unwrap_or(usize::MAX)
                .clamp(1, config.context_length),
            grammars: Grammars::default(),
            template: template.as_deref().map(ChatTemplate::new),
            tokenizer,
            decoder: Decoder::new(config, weights, &pool, placement)
                .map_err(|error| LoadError::Options { what: error.to_string() })?,
            pool,
        })
    }

    /// SHA-256 of the weight file, 64 lower-case hex digits. Persona vectors are bound to it. Of a
    /// folder: SHA-256 of what `sha256sum` prints for the files that are read (weights, their
    /// index, `config.json`, `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`,
    /// `chat_template.jinja`), in byte order of their names.
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
        self.decoder.config.layers
    }

    /// Values of the hidden state.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.decoder.config.hidden
    }

    /// Number of tokens that the weights know.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.decoder.vocabulary()
    }

    /// Most tokens of prompt and response together.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Threads that compute.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Bytes of the weights in memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.decoder.bytes()
    }

    /// Bytes of KV cache that so many tokens take, in whole blocks.
    #[must_use]
    pub fn kv_bytes(&self, tokens: usize) -> usize {
        tokens.div_ceil(TOKENS) * self.decoder.cache_layout().block_bytes()
    }

    /// The tokenizer that came with the weights.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Renders messages by the model's chat template and tokenizes the result.
    ///
    /// `messages` are objects as in OpenAI's API, `{"role": …, "content": …}`. Text that looks like
    /// a control token inside a message is tokenized as plain text: a user cannot end a turn or
    /// open a system message.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn chat_prompt(
        &self,
        messages: &[serde_json::Value],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TemplateError> {
        match &self.template {
            None => Err(TemplateError::Missing),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(template)) => template.prompt(&self.tokenizer, messages, options),
        }
    }

    /// How the chat template writes tool calls; none where it knows no tools.
    pub(crate) fn template_form(&self) -> Option<CallForm> {
        self.template.as_ref()?.as_ref().ok()?.form(&self.tokenizer)
    }
}

/// Why a model was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file.
    #[error("{} does not exist: check the path, and that the volume with the weights is mounted", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Io {
        /// The path asked for.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another file than expected.
    #[error(
        "the weights have SHA-256 {found}, expected {expected}: the file was replaced or damaged; fetch it again, or \
         correct the digest if the change was meant"
    )]
    DigestMismatch {
        /// What the caller expects.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The file breaks its format.
    #[error("the weight file is damaged: {what}; fetch it again")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// The file may be sound, but this engine does not run it.
    #[error("this model is not supported: {what}")]
    Unsupported {
        /// What is missing.
        what: String,
    },
    /// A load option out of range.
    #[error("{what}")]
    Options {
        /// What is wrong.
        what: String,
    },
}
