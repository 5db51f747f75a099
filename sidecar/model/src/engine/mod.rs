//! The engine: a bounded queue in front of one thread that runs the model by continuous batching.

pub(crate) mod event;
pub(crate) mod grammar;
pub(crate) mod queue;
pub(crate) mod request;
mod sampler;
mod scheduler;
pub(crate) mod score;
mod sequence;
mod text;

use crate::Model;
use crate::kernel::attend::TOKENS;
use event::{Event, Generation};
use queue::{Job, Queue, Work};
use request::{GenerateRequest, Intervention, Probe, ScoreRequest};
use scheduler::Scheduler;
use score::{Score, ScoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Bounds of an [`Engine`].
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Requests that run at the same time, at least 1.
    pub max_concurrent: usize,
    /// Requests that wait for a place; one more is answered [`SubmitError::QueueFull`].
    pub max_waiting: usize,
    /// Most bytes of KV cache. Default: what `max_concurrent` contexts of full length take. The
    /// memory is taken as it is needed, and a request waits until all that it may need is free.
    pub kv_bytes: Option<usize>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { max_concurrent: 8, max_waiting: 64, kv_bytes: None }
    }
}

/// Most probes, and most interventions, of one request.
pub(crate) const MAX_VECTORS: usize = 256;
/// Most alternatives reported with a token.
pub(crate) const MAX_TOP_LOGPROBS: usize = 20;

/// A running model. Clones are handles to the same one; when the last is dropped, running requests
/// fail with [`event::EngineError::Stopped`] and the thread ends.
#[derive(Clone, Debug)]
pub struct Engine {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    model: Arc<Model>,
    queue: Arc<Queue>,
    /// The model's, or what the KV cache holds where that is less.
    context_length: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Engine {
    /// Starts the engine's thread.
    ///
    /// # Errors
    /// The system gives no thread, or the KV-cache memory is less than one request of full length
    /// needs.
    pub fn start(model: Arc<Model>, options: EngineOptions) -> Result<Self, StartError> {
        if options.max_concurrent == 0 {
            return Err(StartError::Options(
                "at least one request must be allowed to run: raise max_concurrent",
            ));
        }
        let block_bytes = model.decoder.cache_layout().block_bytes();
        let blocks = match options.kv_bytes {
            None => options.max_concurrent * model.context_length().div_ceil(TOKENS),
            Some(given) if given < block_bytes => {
                return Err(StartError::KvBytes { given, needed: block_bytes });
            }
            Some(bytes) => bytes / block_bytes,
        };
        let context_length = model.context_length().min(blocks * TOKENS);
        let queue = Arc::new(Queue::new(options.max_waiting));
        let scheduler = Scheduler {
            model: model.clone(),
            queue: queue.clone(),
            max_concurrent: options.max_concurrent,
            blocks,
            context_length,
        };
        std::thread::Builder::new().name("engine".into()).spawn(move || scheduler.run())?;
        Ok(Self { handle: Arc::new(Handle { model, queue, context_length }) })
    }

    /// Queues a request.
    ///
    /// # Errors
    /// The queue is full, or the request does not fit the model: nothing was queued.
    pub fn submit(&self, request: GenerateRequest) -> Result<Generation, SubmitError> {
        if request.max_tokens == 0 {
            return Err(SubmitError::Parameter {
                name: "max_tokens",
                message: "must be at least 1",
            });
        }
        check_sampling(&request.sampling)?;
        if request.top_logprobs > MAX_TOP_LOGPROBS {
            return Err(SubmitError::Parameter {
                name: "top_logprobs",
                message: "must be at most 20",
            });
        }
        self.check(&request.prompt, 1, &request.probes, &request.interventions)?;
        let room = self.context_length() - request.prompt.len();
        // One event for each token, and one each for the prompt and the end.
        let (sender, events) = mpsc::channel::<Event>(request.max_tokens.min(room) + 2);
        self.handle.queue.push(Job::new(Work::Generate { request, events: sender }))?;
        Ok(Generation { events })
    }

    /// Reads the activations of a given response, in one pass that shares the machine fairly with
    /// generations. Dropping the future cancels it.
    ///
    /// # Errors
    /// As [`Self::submit`], or the engine stopped meanwhile.
    pub async fn score(&self, request: ScoreRequest) -> Result<Score, ScoreError> {
        self.check(
            &request.prompt,
            request.response.len(),
            &request.probes,
            &request.interventions,
        )?;
        check_tokens(&self.handle.model, &request.response)?;
        let (sender, result) = oneshot::channel();
        self.handle.queue.push(Job::new(Work::Score { request, result: sender }))?;
        match result.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(ScoreError::Engine(event::EngineError::Stopped)),
        }
    }

    /// The model that runs.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.handle.model
    }

    /// Most tokens of prompt and response together: the model's context, or what the KV cache holds
    /// where that is less.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.handle.context_length
    }

    /// Requests that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.handle.queue.running()
    }

    /// Requests that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.handle.queue.waiting()
    }
    fn check(
        &self,
        prompt: &[u32],
        further: usize,
        probes: &[Probe],
        interventions: &[Intervention],
    ) -> Result<(), SubmitError> {
        let model = &*self.handle.model;
        if prompt.is_empty() {
            return Err(SubmitError::EmptyPrompt);
        }
        let (tokens, context_length) =
            (prompt.len().saturating_add(further), self.context_length());
        if tokens > context_length {
            return Err(SubmitError::ContextTooLong { tokens, context_length });
        }
        check_tokens(model, prompt)?;
        if probes.len() > MAX_VECTORS || interventions.len() > MAX_VECTORS {
            return Err(SubmitError::Parameter {
                name: "vectors",
                message: "must be at most 256 for one request",
            });
        }
        let read_in_time = |change: &Intervention| {
            change.gate.is_none_or(|gate| {
                probes.get(gate.probe).is_some_and(|probe| probe.layer <= change.layer)
                    && gate.until <= gate.above
            })
        };
        if !interventions.iter().all(read_in_time) {
            let message = "must be gated by a probe of the request at a layer not above their own";
            return Err(SubmitError::Parameter { name: "interventions", message });
        }
        let probes = probes.iter().map(|probe| (probe.layer, probe.direction.len()));
        let changes = interventions
            .iter()
            .map(|intervention| (intervention.layer, intervention.change.width()));
        for (layer, width) in probes.chain(changes) {
            if layer > model.layers() {
                return Err(SubmitError::InvalidLayer { layer, layers: model.layers() });
            }
            if width != model.hidden() {
                return Err(SubmitError::InvalidWidth { found: width, hidden: model.hidden() });
            }
        }
        Ok(())
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread.
    #[error("the engine's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A bound that lets nothing run.
    #[error("{0}")]
    Options(&'static str),
    /// KV cache too small.
    #[error("{given} bytes of KV cache hold no request; give at least {needed}")]
    KvBytes {
        /// Bytes given.
        given: usize,
        /// Bytes for one context of full length.
        needed: usize,
    },
}

/// Why a request was not queued.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// Too many wait already.
    #[error("too many requests wait: try again in {} s", retry_after.as_secs().max(1))]
    QueueFull {
        /// When a place is likely, from what recent requests took.
        retry_after: Duration,
    },
    /// Prompt and response do not fit.
    #[error(
        "the request takes {tokens} tokens at least, the context holds {context_length}: shorten the prompt"
    )]
    ContextTooLong {
        /// Tokens of the prompt, and of the response or its first token.
        tokens: usize,
        /// The model's limit.
        context_length: usize,
    },
    /// Nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// A token that the model does not know.
    #[error(
        "token {token} is not in the vocabulary of {vocabulary} tokens: tokenize with this model's tokenizer"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A layer that the model does not have.
    #[error("layer {layer} does not exist: the model has layers 0 to {layers}")]
    InvalidLayer {
        /// The layer asked for.
        layer: usize,
        /// The model's last.
        layers: usize,
    },
    /// A vector of another model.
    #[error(
        "a vector has {found} values, the model's hidden state {hidden}: it was made for another model"
    )]
    InvalidWidth {
        /// Values of the vector.
        found: usize,
        /// Values of the hidden state.
        hidden: usize,
    },
    /// A parameter out of range.
    #[error("{name} {message}")]
    Parameter {
        /// Its name, as in OpenAI's API.
        name: &'static str,
        /// What it must be.
        message: &'static str,
    },
    /// The engine has shut down.
    #[error("the model server is stopping: try again on another replica")]
    Stopped,
}

fn check_tokens(model: &Model, tokens: &[u32]) -> Result<(), SubmitError> {
    let vocabulary = model.vocabulary();
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => Err(SubmitError::UnknownToken { token, vocabulary }),
        None => Ok(()),
    }
}

fn check_sampling(sampling: &request::Sampling) -> Result<(), SubmitError> {
    let wrong = |name, message| Err(SubmitError::Parameter { name, message });
    if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
        return wrong("temperature", "must be a number of at least 0");
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return wrong("top_p", "must be above 0 and at most 1");
    }
    if sampling.top_k == Some(0) {
        return wrong("top_k", "must be at least 1");
    }
    if !(0.0..=1.0).contains(&sampling.min_p) {
        return wrong("min_p", "must be from 0 to 1");
    }
    if !(sampling.presence_penalty.is_finite() && sampling.presence_penalty.abs() <= 2.0) {
        return wrong("presence_penalty", "must be from -2 to 2");
    }
    if !(sampling.frequency_penalty.is_finite() && sampling.frequency_penalty.abs() <= 2.0) {
        return wrong("frequency_penalty", "must be from -2 to 2");
    }
    Ok(())
}
