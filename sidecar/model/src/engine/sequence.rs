//! One running request: what it feeds next, and what becomes of the numbers that come back.

use super::event::{End, EngineError, Event, FinishReason, PromptRead, Token};
use super::queue::{Job, Work};
use super::request::{Capture, Change, Intervention, Positions, Probe};
use super::sampler::{Choice, Sampler, logprob};
use super::score::{MeanStates, Score};
use super::text::{Grown, ResponseText};
use crate::Model;
use crate::decoder::hooks::{Hooks, StateSums};
use crate::decoder::{Scratch, Segment};
use crate::kernel::attend::TOKENS;
use crate::kv::{Block, Cache, Found, Origin, Reservation};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

pub(crate) struct Sequence {
    /// Prompt, then response as far as it is known.
    tokens: Vec<u32>,
    prompt_tokens: usize,
    /// Tokens whose keys and values are in the cache.
    fed: usize,
    blocks: Vec<Arc<Block>>,
    reservation: Reservation,
    origin: Origin,
    hooks: Hooks,
    states: Option<StateSums>,
    capture: Capture,
    task: Task,
    finished: bool,
}

enum Task {
    Generate(Box<Generate>),
    Score {
        score: Score,
        likelihood: bool,
        result: Option<oneshot::Sender<Result<Score, EngineError>>>,
    },
}

struct Generate {
    sampler: Sampler,
    text: ResponseText,
    /// The last chosen token, which is fed next.
    choice: Option<Choice>,
    max_tokens: usize,
    cached: usize,
    events: mpsc::Sender<Event>,
}

/// Cache blocks that a job may come to need, in a context of `context_length` tokens.
pub(crate) fn blocks_needed(job: &Job, context_length: usize) -> usize {
    let tokens = match &job.work {
        Work::Generate { request, .. } => {
            request.prompt.len().saturating_add(request.max_tokens).min(context_length)
        }
        Work::Score { request, .. } => request.prompt.len() + request.response.len(),
    };
    tokens.div_ceil(TOKENS)
}

impl Sequence {
    /// Starts a job for which the cache has room; gives it back where it has none.
    pub(crate) fn start(
        job: Job,
        model: &Model,
        cache: &mut Cache,
        scratch: &mut Scratch,
        context_length: usize,
    ) -> Result<Self, Box<Job>> {
        let Some(reservation) = cache.reserve(blocks_needed(&job, context_length)) else {
            return Err(Box::new(job));
        };
        let hooks = |probes: Arc<[Probe]>, changes: Arc<[Intervention]>| {
            Hooks::new(probes, changes, model.layers())
        };
        let (tokens, prompt_tokens, hooks, capture, task) = match job.work {
            Work::Generate { request, events } => {
                let prompt_tokens = request.prompt.len();
                let generate = Generate {
                    sampler: Sampler::new(request.sampling, request.top_logprobs, request.grammar),
                    text: ResponseText::new(&request.stop),
                    choice: None,
                    max_tokens: request.max_tokens.min(context_length - prompt_tokens),
                    cached: 0,
                    events,
                };
                let hooks = hooks(request.probes, request.interventions);
                (
                    request.prompt,
                    prompt_tokens,
                    hooks,
                    request.capture,
                    Task::Generate(Box::new(generate)),
                )
            }
            Work::Score { request, result } => {
                let prompt_tokens = request.prompt.len();
                let mut tokens = request.prompt;
                tokens.extend(&request.response);
                let score = Score {
                    prompt: Vec::new(),
                    response: Vec::new(),
                    logprobs: Vec::new(),
                    states: None,
                };
                let hooks = hooks(request.probes, request.interventions);
                (
                    tokens,
                    prompt_tokens,
                    hooks,
                    request.capture,
                    Task::Score { score, likelihood: !request.skip_logprobs, result: Some(result) },
                )
            }
        };
        let origin = Origin::start(&describe(hooks.interventions()));
        let states =
            (capture != Capture::None).then(|| StateSums::new(model.layers(), model.hidden()));
        // Whoever sums up the prompt's hidden states must see every token.
        let found = match capture {
            Capture::MeanStates => Found::default(),
            _ => cache.find(origin, &tokens[..prompt_tokens]),
        };
        let (blocks, fed) = take_over(found, model, cache, scratch);
        let mut sequence = Self {
            tokens,
            prompt_tokens,
            fed,
            blocks,
            reservation,
            origin,
            hooks,
            states,
            capture,
            task,
            finished: false,
        };
        if let Task::Generate(generate) = &mut sequence.task {
            generate.cached = fed;
        }
        Ok(sequence)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        match &self.task {
            Task::Generate(generate) => generate.events.is_closed(),
            Task::Score { result, .. } => result.as_ref().is_none_or(oneshot::Sender::is_closed),
        }
    }

    /// Tokens that can be fed now.
    pub(crate) fn ready(&self) -> usize {
        self.tokens.len() - self.fed
    }

    /// Feeds one token a step: everything that is known is in the cache but the last choice.
    pub(crate) fn is_decoding(&self) -> bool {
        matches!(self.task, Task::Generate(_)) && self.fed >= self.prompt_tokens
    }

    /// The next `count` tokens as a piece of a batch.
    pub(crate) fn segment(&mut self, cache: &mut Cache, count: usize) -> Segment<'_> {
        while self.blocks.len() * TOKENS < self.fed + count {
            self.blocks.push(cache.take());
        }
        Segment {
            tokens: &self.tokens[self.fed..self.fed + count],
            start: self.fed,
            prompt_tokens: self.prompt_tokens,
            blocks: &self.blocks,
            hooks: &self.hooks,
            read_from: (self.prompt_tokens - 1).saturating_sub(self.fed),
            projections: Vec::new(),
            states: self.states.as_mut(),
        }
    }

    /// Takes in what feeding `count` tokens read. Returns the fed tokens after which logits are
    /// wanted, by their number within the piece.
    pub(crate) fn fed(&mut self, count: usize, projections: &[f32], model: &Model) -> Range<usize> {
        let start = self.fed;
        self.fed += count;
        if projections.iter().any(|value| !value.is_finite()) {
            self.fail(EngineError::NotFinite);
            return 0..0;
        }
        let first_read = (self.prompt_tokens - 1).saturating_sub(start);
        let width = self.hooks.probes();
        if start < self.prompt_tokens && self.fed >= self.prompt_tokens {
            self.hooks.prompt_read(&projections[..width]);
        }
        let read = |index: usize| projections[index * width..][..width].to_vec();
        match &mut self.task {
            Task::Generate(generate) if self.fed == self.prompt_tokens => {
                let read = PromptRead {
                    tokens: self.prompt_tokens,
                    cached: generate.cached,
                    projections: read(0),
                };
                generate.send(Event::Prompt(read));
                count - 1..count
            }
            Task::Generate(_) if self.fed < self.prompt_tokens => 0..0,
            Task::Generate(generate) => {
                let responded = self.fed - self.prompt_tokens;
                let Some((reason, text)) = generate.token(model, read(0), responded) else {
                    return count - 1..count;
                };
                let states = means(&mut self.states, self.capture, self.prompt_tokens, responded)
                    .map(Box::new);
                let (prompt_tokens, completion_tokens) = (self.prompt_tokens, responded);
                generate.send(Event::End(End {
                    reason,
                    text,
                    prompt_tokens,
                    completion_tokens,
                    states,
                }));
                self.finished = true;
                0..0
            }
            Task::Score { score, likelihood, .. } => {
                let likelihood = *likelihood;
                for index in 0..count.saturating_sub(first_read) {
                    if start + first_read + index + 1 == self.prompt_tokens {
                        score.prompt = read(index);
                    } else {
                        score.response.push(read(index));
                    }
                }
                // No response, or its last token is a piece by itself: no logits are wanted after
                // it that would end this.
                let known = !likelihood || score.logprobs.len() == self.fed - self.prompt_tokens;
                if self.fed == self.tokens.len() && known {
                    self.finish_score();
                }
                if !likelihood {
                    return 0..0;
                }
                // The last token's successor is not asked for.
                first_read.min(count)..count.min(self.tokens.len() - 1 - start)
            }
        }
    }

    /// Once the last `count` tokens completed the prompt: lets requests that begin alike take it
    /// over.
    pub(crate) fn share_prompt(&self, count: usize, cache: &mut Cache) {
        if self.fed >= self.prompt_tokens && self.piece_start(count) < self.prompt_tokens {
            cache.keep(self.origin, &self.blocks, &self.tokens[..self.prompt_tokens]);
        }
    }

    /// Takes in the logits after the fed token at `position`.
    pub(crate) fn logits(&mut self, position: usize, logits: &[f32], model: &Model) {
        if self.finished {
            return;
        }
        match &mut self.task {
            Task::Generate(generate) => {
                match generate.sampler.choose(logits, model.tokenizer().end_tokens()) {
                    Err(error) => self.fail(error),
                    Ok(choice) if model.tokenizer().end_tokens().contains(&choice.token) => {
                        let (prompt_tokens, fed) =
                            (self.prompt_tokens, self.fed - self.prompt_tokens);
                        let states =
                            means(&mut self.states, self.capture, prompt_tokens, fed).map(Box::new);
                        let (reason, text, completion_tokens) =
                            (FinishReason::Stop, generate.text.finish(), fed + 1);
                        generate.send(Event::End(End {
                            reason,
                            text,
                            prompt_tokens,
                            completion_tokens,
                            states,
                        }));
                        self.finished = true;
                    }
                    Ok(choice) => {
                        self.tokens.push(choice.token);
                        generate.choice = Some(choice);
                    }
                }
            }
            Task::Score { score, .. } => match logprob(logits, self.tokens[position + 1]) {
                None => self.fail(EngineError::NotFinite),
                Some(logprob) => {
                    score.logprobs.push(logprob);
                    if self.fed == self.tokens.len()
                        && score.logprobs.len() == self.fed - self.prompt_tokens
                    {
                        self.finish_score();
                    }
                }
            },
        }
    }

    /// First position of the last piece of `count` tokens.
    pub(crate) fn piece_start(&self, count: usize) -> usize {
        self.fed - count
    }

    fn finish_score(&mut self) {
        let (prompt, response) = (self.prompt_tokens, self.tokens.len() - self.prompt_tokens);
        let states = means(&mut self.states, self.capture, prompt, response);
        if let Task::Score { score, result, .. } = &mut self.task
            && let Some(result) = result.take()
        {
            let empty = Score {
                prompt: Vec::new(),
                response: Vec::new(),
                logprobs: Vec::new(),
                states: None,
            };
            let score = Score { states, ..std::mem::replace(score, empty) };
            drop(result.send(Ok(score)));
        }
        self.finished = true;
    }

    pub(crate) fn fail(&mut self, error: EngineError) {
        self.finished = true;
        match &mut self.task {
            Task::Generate(generate) => generate.send(Event::Failed(error)),
            Task::Score { result, .. } => {
                if let Some(result) = result.take() {
                    drop(result.send(Err(error)));
                }
            }
        }
    }

    /// Gives the memory back. What a request with the same beginning and the same interventions
    /// could use is kept.
    pub(crate) fn release(self, cache: &mut Cache) {
        // Numbers of the response were computed under other interventions than a prompt's would be,
        // unless none distinguishes the two.
        let same =
            self.hooks.interventions().iter().all(|change| change.positions == Positions::All);
        let reusable = self.fed.min(if same { self.tokens.len() } else { self.prompt_tokens });
        cache.give_back(&self.reservation, self.blocks, self.origin, &self.tokens[..reusable]);
    }
}

impl Generate {
    fn send(&self, event: Event) {
        // The channel has room for all that the request may produce, or nobody listens.
        drop(self.events.try_send(event));
    }

    /// Reports the token that was fed. Why the response ends with it, if it does, and the text that
    /// was held back.
    fn token(
        &mut self,
        model: &Model,
        projections: Vec<f32>,
        responded: usize,
    ) -> Option<(FinishReason, String)> {
        let Some(choice) = self.choice.take() else {
            return Some((FinishReason::Stop, self.text.finish()));
        };
        let grown = self.text.push(model.tokenizer(), choice.token);
        let stopped = matches!(grown, Grown::Stopped(_));
        let (Grown::Text(text) | Grown::Stopped(text)) = grown;
        let Choice { token: id, logprob, top } = choice;
        self.send(Event::Token(Token { id, text, logprob, top, projections }));
        if stopped {
            return Some((FinishReason::Stop, String::new()));
        }
        if self.sampler.is_complete() {
            return Some((FinishReason::Stop, self.text.finish()));
        }
        (responded >= self.max_tokens).then(|| (FinishReason::Length, self.text.finish()))
    }
}

/// The blocks that a sequence begins with, and how many tokens they hold of it.
fn take_over(
    found: Found,
    model: &Model,
    cache: &mut Cache,
    scratch: &mut Scratch,
) -> (Vec<Arc<Block>>, usize) {
    let mut blocks = found.whole;
    let mut fed = blocks.len() * TOKENS;
    if let Some((begun, tokens)) = found.begun
        && let Some(block) = cache.spare()
    {
        match model.decoder.copy_beginning(scratch, &begun, &block, tokens) {
            Ok(()) => fed += tokens,
            Err(error) => {
                tracing::warn!(%error, "kept tokens were not copied; they are computed again")
            }
        }
        blocks.push(block);
    }
    (blocks, fed)
}

/// Everything about the interventions that a prompt's numbers depend on.
fn describe(interventions: &[Intervention]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for change in interventions.iter().filter(|change| change.positions != Positions::Response) {
        bytes.extend(change.layer.to_le_bytes());
        let (kind, vector, bounds) = match &change.change {
            Change::Add(vector) => (0_u8, vector, [0.0; 2]),
            Change::Cap { unit, floor, ceiling } => (1, unit, [*floor, *ceiling]),
        };
        bytes.push(kind);
        bytes.extend(bounds.iter().chain(vector.iter()).flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// What was summed up, as means; the prompt's only where all of it was seen.
fn means(
    sums: &mut Option<StateSums>,
    capture: Capture,
    prompt: usize,
    response: usize,
) -> Option<MeanStates> {
    let sums = sums.take()?;
    let of_prompt = capture == Capture::MeanStates;
    Some(MeanStates {
        response_mean: mean(&sums.response, response),
        prompt_mean: if of_prompt { mean(&sums.prompt, prompt) } else { Vec::new() },
        prompt_last: if of_prompt { sums.prompt_last } else { Vec::new() },
    })
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn mean(sums: &[Vec<f64>], count: usize) -> Vec<Vec<f32>> {
    let count = count.max(1) as f64;
    sums.iter().map(|sums| sums.iter().map(|sum| (sum / count) as f32).collect()).collect()
}
