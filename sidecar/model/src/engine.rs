//! The engine: a bounded queue in front of one thread that runs the model by continuous batching.

mod error;
mod event;
mod queue;
mod request;
mod sampler;
mod scheduler;
mod score;
mod sequence;
mod stop;
mod turn;
mod validate;

pub use error::{EngineError, ScoreError, StartError, SubmitError};
pub use event::{End, Event, FinishReason, Generation, Prefill, Token, TokenProbability};
pub use request::{Capture, GenerateRequest, Sampling, ScoreRequest};
pub use score::Score;

use crate::kernel::layout::BLOCK_SIZE;
use crate::model::Model;
use queue::{Job, Queue};
use scheduler::Scheduler;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use validate::Limits;

/// Bounds of an [`Engine`].
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Requests that run at the same time, at least 1; one more where it reads in the background.
    pub max_concurrent: usize,
    /// Requests that wait to run; one more is refused with [`SubmitError::QueueFull`].
    pub max_waiting: usize,
    /// Most bytes of KV cache. `None` for what `max_concurrent` contexts of full length take.
    /// Memory is allocated as it is needed; a request waits until all that it may need is free.
    pub kv_bytes: Option<usize>,
}

impl Default for EngineOptions {
    /// 8 requests run, 64 wait, and the KV cache holds 8 full contexts.
    fn default() -> Self {
        Self { max_concurrent: 8, max_waiting: 64, kv_bytes: None }
    }
}

/// A running model. Clones are handles to the same one. When the last is dropped, running requests
/// fail with [`EngineError::Stopped`] and the engine's thread ends.
#[derive(Clone, Debug)]
pub struct Engine {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    model: Arc<Model>,
    queue: Arc<Queue>,
    /// The model's context length, or what the KV cache holds where that is less.
    context_length: usize,
    /// Most bytes of KV cache.
    kv_limit: usize,
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
    /// The system refuses a thread, no request may run, or the KV cache is too small for any
    /// request.
    pub fn start(model: Arc<Model>, options: EngineOptions) -> Result<Self, StartError> {
        if options.max_concurrent == 0 {
            return Err(StartError::Options(
                "at least one request must be allowed to run: raise max_concurrent",
            ));
        }
        let block_bytes = model.decoder().cache_layout().block_bytes();
        let blocks = match options.kv_bytes {
            None => options.max_concurrent * model.context_length().div_ceil(BLOCK_SIZE),
            Some(given) if given < block_bytes => {
                return Err(StartError::KvBytes { given, needed: block_bytes });
            }
            Some(bytes) => bytes / block_bytes,
        };
        let kv_limit = blocks.saturating_mul(block_bytes);
        let context_length = model.context_length().min(blocks * BLOCK_SIZE);
        let queue = Arc::new(Queue::new(options.max_waiting));
        let scheduler = Scheduler {
            model: model.clone(),
            queue: queue.clone(),
            max_concurrent: options.max_concurrent,
            blocks,
            context_length,
        };
        std::thread::Builder::new().name("engine".into()).spawn(move || scheduler.run())?;
        Ok(Self { handle: Arc::new(Handle { model, queue, context_length, kv_limit }) })
    }

    /// Queues a request to continue a prompt.
    ///
    /// # Errors
    /// The queue is full, or the request does not fit the model; then nothing was queued.
    pub fn submit(&self, request: GenerateRequest) -> Result<Generation, SubmitError> {
        self.limits().check_generate(&request)?;
        let room = self.context_length() - request.prompt.len();
        // One event for each token, one for the prompt, and one for the end.
        let (sender, events) = mpsc::channel::<Event>(request.max_tokens.min(room) + 2);
        self.handle.queue.push(Job::Generate { request, events: sender })?;
        Ok(Generation::new(events))
    }

    /// Reads the activations of a given response, in one teacher-forced pass that shares the
    /// machine fairly with generations. Dropping the future cancels the request.
    ///
    /// # Errors
    /// As [`Self::submit`], or the request failed later.
    pub async fn score(&self, request: ScoreRequest) -> Result<Score, ScoreError> {
        self.limits().check_score(&request)?;
        let (sender, result) = oneshot::channel();
        self.handle.queue.push(Job::Score { request, result: sender })?;
        match result.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(ScoreError::Engine(EngineError::Stopped)),
        }
    }

    /// The model that runs.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.handle.model
    }

    /// Most tokens of prompt and response together: the model's context length, or what the KV
    /// cache holds where that is less.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.handle.context_length
    }

    /// Most bytes of KV cache.
    #[must_use]
    pub fn kv_limit(&self) -> usize {
        self.handle.kv_limit
    }

    /// Bytes of KV cache in memory: what running requests use, and the prefix cache.
    #[must_use]
    pub fn kv_bytes(&self) -> usize {
        self.handle.queue.kv_bytes()
    }

    /// Gives memory of the KV cache back to the system, until at most so many bytes are left, or
    /// what running requests use. It grows again as it is needed.
    pub fn shrink_kv(&self, bytes: usize) {
        self.handle.queue.shrink(bytes);
    }

    /// Number of requests that are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.handle.queue.running()
    }

    /// Number of requests that wait to run.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.handle.queue.waiting()
    }

    fn limits(&self) -> Limits<'_> {
        Limits { model: &self.handle.model, context_length: self.context_length() }
    }
}
