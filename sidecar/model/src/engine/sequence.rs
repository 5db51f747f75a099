//! One running request: what it computes next, and what becomes of the results.

mod generate;
mod score;

use super::error::EngineError;
use super::event::{End, FinishReason, Prefill};
use super::queue::Job;
use super::request::Capture;
use super::turn::Turn;
use crate::decoder::{Scratch, Segment};
use crate::kernel::layout::BLOCK_SIZE;
use crate::kv::{Block, Cache, PrefixHash, PrefixMatch, Reservation};
use crate::model::Model;
use crate::residual::{MeanStates, ResidualPlan, StateSums};
use generate::{Ending, GenerateTask};
use score::ScoreTask;
use std::ops::Range;
use std::sync::Arc;

pub(super) struct Sequence {
    /// The prompt, then the response so far.
    tokens: Vec<u32>,
    prompt_tokens: usize,
    /// Tokens whose keys and values are in the cache.
    computed: usize,
    blocks: Vec<Arc<Block>>,
    reservation: Reservation,
    /// Hash of the empty prefix.
    root: PrefixHash,
    plan: ResidualPlan,
    states: Option<StateSums>,
    capture: Capture,
    task: Task,
    is_background: bool,
    is_finished: bool,
}

/// A hidden state is no number.
struct NotFinite;

enum Task {
    Generate(Box<GenerateTask>),
    Score(ScoreTask),
}

/// Cache blocks that a job may need, in a context of `context_length` tokens.
pub(super) fn blocks_needed(job: &Job, context_length: usize) -> usize {
    let tokens = match job {
        Job::Generate { request, .. } => {
            request.prompt.len().saturating_add(request.max_tokens).min(context_length)
        }
        Job::Score { request, .. } => request.prompt.len() + request.response.len(),
    };
    tokens.div_ceil(BLOCK_SIZE)
}

impl Sequence {
    /// Starts a job for which the cache has room.
    ///
    /// # Errors
    /// The cache has no room; the job is given back.
    pub(super) fn start(
        job: Job,
        model: &Model,
        cache: &mut Cache,
        scratch: &mut Scratch,
        context_length: usize,
    ) -> Result<Self, Box<Job>> {
        let Some(reservation) = cache.reserve(blocks_needed(&job, context_length)) else {
            return Err(Box::new(job));
        };
        let is_background = job.is_background();
        let (tokens, prompt_tokens, taps, interventions, capture, task) = match job {
            Job::Generate { request, events } => {
                let prompt_tokens = request.prompt.len();
                let max_tokens = request.max_tokens.min(context_length - prompt_tokens);
                let task = GenerateTask::new(
                    request.sampling,
                    request.top_logprobs,
                    request.grammar,
                    &request.stop,
                    &request.prompt,
                    max_tokens,
                    events,
                );
                let task = Task::Generate(Box::new(task));
                let (taps, interventions) = (request.taps, request.interventions);
                (request.prompt, prompt_tokens, taps, interventions, request.capture, task)
            }
            Job::Score { request, result } => {
                let prompt_tokens = request.prompt.len();
                let tokens = [request.prompt, request.response].concat();
                let task = Task::Score(ScoreTask::new(!request.skip_logprobs, result));
                let (taps, interventions) = (request.taps, request.interventions);
                (tokens, prompt_tokens, taps, interventions, request.capture, task)
            }
        };
        let plan = ResidualPlan::new(taps, interventions, model.layers());
        let root = PrefixHash::root(&plan.prompt_fingerprint());
        let of_prompt = capture == Capture::PromptAndResponse;
        let last_norm = of_prompt.then(|| model.decoder().last_norm().clone());
        let states = (capture != Capture::None)
            .then(|| StateSums::new(model.layers(), model.hidden_size(), last_norm));
        // To sum up the prompt's hidden states, every token must be computed.
        let found = match capture {
            Capture::PromptAndResponse => PrefixMatch::default(),
            Capture::None | Capture::Response => cache.find_prefix(root, &tokens[..prompt_tokens]),
        };
        let (blocks, computed) = adopt_prefix(found, model, cache, scratch);
        let mut sequence = Self {
            tokens,
            prompt_tokens,
            computed,
            blocks,
            reservation,
            root,
            plan,
            states,
            capture,
            task,
            is_background,
            is_finished: false,
        };
        if let Task::Generate(task) = &mut sequence.task {
            task.cached = computed;
        }
        Ok(sequence)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Whether it gives way to others.
    pub(super) fn is_background(&self) -> bool {
        self.is_background
    }

    /// When it computes, within a step.
    pub(super) fn turn(&self) -> Turn {
        match self.is_background {
            true => Turn::Background,
            false if self.is_decoding() => Turn::Decode,
            false => Turn::Prefill,
        }
    }

    /// Whether the caller has gone away.
    pub(super) fn is_cancelled(&self) -> bool {
        match &self.task {
            Task::Generate(task) => task.is_cancelled(),
            Task::Score(task) => task.is_cancelled(),
        }
    }

    /// Number of tokens whose keys and values are in the cache.
    pub(super) fn computed(&self) -> usize {
        self.computed
    }

    /// Number of tokens that can be computed now.
    pub(super) fn pending_tokens(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether it writes its response, one token a step.
    pub(super) fn is_decoding(&self) -> bool {
        matches!(self.task, Task::Generate(_)) && self.computed >= self.prompt_tokens
    }

    /// The next `count` tokens, as a piece of a batch.
    pub(super) fn segment(&mut self, cache: &mut Cache, count: usize) -> Segment<'_> {
        while self.blocks.len() * BLOCK_SIZE < self.computed + count {
            self.blocks.push(cache.allocate());
        }
        Segment {
            tokens: &self.tokens[self.computed..self.computed + count],
            start: self.computed,
            prompt_tokens: self.prompt_tokens,
            blocks: &self.blocks,
            plan: &self.plan,
            tap_from: (self.prompt_tokens - 1).saturating_sub(self.computed),
            projections: Vec::new(),
            states: self.states.as_mut(),
        }
    }

    /// Takes in the projections of the last [`Self::segment`], which had `count` tokens. Returns
    /// the tokens of the segment after which logits are wanted.
    pub(super) fn on_computed(
        &mut self,
        count: usize,
        projections: &[f32],
        model: &Model,
    ) -> Range<usize> {
        let start = self.computed;
        self.computed += count;
        if projections.iter().any(|value| !value.is_finite()) {
            self.fail(EngineError::NotFinite);
            return 0..0;
        }
        let tap_from = (self.prompt_tokens - 1).saturating_sub(start);
        let taps = self.plan.tap_count();
        if start < self.prompt_tokens && self.computed >= self.prompt_tokens {
            self.plan.set_prompt_last(&projections[..taps]);
        }
        let read = |index: usize| projections[index * taps..][..taps].to_vec();
        match &mut self.task {
            Task::Generate(_) if self.computed < self.prompt_tokens => 0..0,
            Task::Generate(task) if self.computed == self.prompt_tokens => {
                task.send_prefill(Prefill {
                    tokens: self.prompt_tokens,
                    cached: task.cached,
                    projections: read(0),
                });
                if task.only_reads() {
                    self.end(Ending::of(FinishReason::Length, String::new()), 0);
                    return 0..0;
                }
                count - 1..count
            }
            Task::Generate(task) => {
                let response_tokens = self.computed - self.prompt_tokens;
                match task.on_token_computed(model, read(0), response_tokens) {
                    None => count - 1..count,
                    Some(ending) => {
                        self.end(ending, response_tokens);
                        0..0
                    }
                }
            }
            Task::Score(task) => {
                for index in 0..count.saturating_sub(tap_from) {
                    if start + tap_from + index + 1 == self.prompt_tokens {
                        task.score.prompt = read(index);
                    } else {
                        task.score.response.push(read(index));
                    }
                }
                let wants_logprobs = task.wants_logprobs;
                self.finish_score_if_complete();
                if !wants_logprobs {
                    return 0..0;
                }
                // Nothing follows the last token, so its logits are not wanted.
                tap_from.min(count)..count.min(self.tokens.len() - 1 - start)
            }
        }
    }

    /// Takes in the logits after the token at `position`.
    pub(super) fn on_logits(&mut self, position: usize, logits: &[f32], model: &Model) {
        if self.is_finished {
            return;
        }
        let end_tokens = model.tokenizer().end_tokens();
        match &mut self.task {
            Task::Generate(task) => match task.sampler.sample(logits, end_tokens) {
                Err(error) => self.fail(error),
                Ok(token) if task.sampler.is_end(token.id, end_tokens) => {
                    let ending = task.stopped();
                    // The token that ends the sequence counts, although it is not computed.
                    self.end(ending, self.computed - self.prompt_tokens + 1);
                }
                Ok(token) => {
                    self.tokens.push(token.id);
                    task.sampled = Some(token);
                }
            },
            Task::Score(task) => match task.push_logprob(logits, self.tokens[position + 1]) {
                Err(error) => self.fail(error),
                Ok(()) => self.finish_score_if_complete(),
            },
        }
    }

    /// Lets requests with the same prefix use the prompt, if the last `count` tokens completed it.
    pub(super) fn share_prompt(&self, count: usize, cache: &mut Cache) {
        let was_complete = self.computed - count >= self.prompt_tokens;
        if self.computed >= self.prompt_tokens && !was_complete {
            cache.keep_prefix(self.root, &self.blocks, &self.tokens[..self.prompt_tokens]);
        }
    }

    pub(super) fn fail(&mut self, error: EngineError) {
        self.is_finished = true;
        match &mut self.task {
            Task::Generate(task) => task.send_error(error),
            Task::Score(task) => task.send(Err(error)),
        }
    }

    /// Gives the memory back, and keeps what requests with the same prefix can use.
    pub(super) fn release(self, cache: &mut Cache) {
        // As a prompt, the response would be computed with other interventions, unless all of them
        // act on prompt and response in the same way.
        let reusable = match self.plan.is_uniform() {
            true => self.tokens.len(),
            false => self.prompt_tokens,
        };
        let reusable = &self.tokens[..self.computed.min(reusable)];
        cache.release(&self.reservation, self.blocks, self.root, reusable);
    }

    /// Ends a generation whose response has `completion_tokens` tokens.
    fn end(&mut self, ending: Ending, completion_tokens: usize) {
        let Ok(states) = self.take_means() else { return self.fail(EngineError::NotFinite) };
        let states = states.map(Box::new);
        let prompt_tokens = self.prompt_tokens;
        if let Task::Generate(task) = &self.task {
            let Ending { reason, text, stop } = ending;
            task.send_end(End { reason, stop, text, prompt_tokens, completion_tokens, states });
        }
        self.is_finished = true;
    }

    /// Sends the score, if all tokens are computed and all logprobs that are wanted are known.
    fn finish_score_if_complete(&mut self) {
        if self.computed < self.tokens.len() {
            return;
        }
        let response_tokens = self.tokens.len() - self.prompt_tokens;
        let is_complete = match &self.task {
            Task::Score(task) => task.has_logprobs(response_tokens),
            Task::Generate(_) => false,
        };
        if is_complete {
            let Ok(states) = self.take_means() else { return self.fail(EngineError::NotFinite) };
            if let Task::Score(task) = &mut self.task {
                task.finish(states);
            }
            self.is_finished = true;
        }
    }

    /// Means of the hidden states that were added up. An error if one of them is no number.
    fn take_means(&mut self) -> Result<Option<MeanStates>, NotFinite> {
        let of_prompt = self.capture == Capture::PromptAndResponse;
        let prompt_tokens = of_prompt.then_some(self.prompt_tokens);
        let response_tokens = self.computed - self.prompt_tokens;
        let states = self.states.take();
        let means = states.map(|states| states.into_means(prompt_tokens, response_tokens));
        match means {
            Some(means) if !means.is_finite() => Err(NotFinite),
            means => Ok(means),
        }
    }
}

/// The blocks that a sequence begins with, and how many of its tokens they hold.
fn adopt_prefix(
    found: PrefixMatch,
    model: &Model,
    cache: &mut Cache,
    scratch: &mut Scratch,
) -> (Vec<Arc<Block>>, usize) {
    let mut blocks = found.full;
    let mut computed = blocks.len() * BLOCK_SIZE;
    if let Some((partial, tokens)) = found.partial
        && let Some(block) = cache.try_allocate()
    {
        match model.decoder().copy_prefix(scratch, &partial, &block, tokens) {
            Ok(()) => computed += tokens,
            Err(error) => {
                tracing::warn!(%error, "cached tokens were not copied; they are computed again");
            }
        }
        blocks.push(block);
    }
    (blocks, computed)
}
