//! The engine's thread: at each step, all running requests compute what they can in one batch.

use super::error::EngineError;
use super::queue::{Job, Queue};
use super::sequence::{Sequence, blocks_needed};
use super::turn::Turn;
use crate::decoder::{DeviceError, Scratch};
use crate::kernel::layout::BLOCK_SIZE;
use crate::kv::Cache;
use crate::model::Model;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Prompt tokens per step where no response is being decoded.
const PREFILL_TOKENS: usize = 256;
/// Prompt tokens per step beside responses, so that these keep their pace.
const PREFILL_TOKENS_WHILE_DECODING: usize = 64;
/// Rows whose logits are computed at a time.
const LOGIT_ROWS: usize = 16;

pub(super) struct Scheduler {
    pub(super) model: Arc<Model>,
    pub(super) queue: Arc<Queue>,
    pub(super) max_concurrent: usize,
    /// Capacity of the KV cache.
    pub(super) blocks: usize,
    pub(super) context_length: usize,
}

/// A token of a sequence after which logits are wanted.
struct WantedLogits {
    /// Number of the sequence.
    sequence: usize,
    /// Position in the sequence.
    position: usize,
    /// Row of the batch.
    row: usize,
}

impl Scheduler {
    /// Runs until the queue is closed.
    pub(super) fn run(self) {
        let mut cache = self.empty_cache();
        let mut scratch = Scratch::default();
        let mut running: Vec<Sequence> = Vec::new();
        let mut last_release = Instant::now();
        loop {
            if running.is_empty() && !self.queue.wait() {
                break;
            }
            if self.queue.is_closed() {
                break;
            }
            if let Some(bytes) = self.queue.take_shrink() {
                self.shrink(&mut cache, bytes);
            }
            self.admit(&mut cache, &mut scratch, &mut running);
            self.queue.set_running(running.len());
            let step = catch_unwind(AssertUnwindSafe(|| {
                self.step(&mut cache, &mut scratch, &mut running)
            }));
            if !matches!(step, Ok(Ok(()))) {
                let error = step.ok().and_then(Result::err).map(|error| error.to_string());
                tracing::error!(
                    requests = running.len(),
                    error,
                    "a step of the engine failed; its requests are given up"
                );
                running.drain(..).for_each(|mut sequence| sequence.fail(EngineError::Internal));
                cache = self.empty_cache();
                scratch = Scratch::default();
            }
            for sequence in
                running.extract_if(.., |sequence| sequence.is_finished() || sequence.is_cancelled())
            {
                sequence.release(&mut cache);
                self.queue.note_release(last_release.elapsed());
                last_release = Instant::now();
            }
            self.queue.set_running(running.len());
            self.queue.set_kv_bytes(cache.existing() * self.block_bytes());
        }
        running.iter_mut().for_each(|sequence| sequence.fail(EngineError::Stopped));
        self.queue.set_running(0);
    }

    fn block_bytes(&self) -> usize {
        self.model.decoder().cache_layout().block_bytes()
    }

    fn shrink(&self, cache: &mut Cache, bytes: usize) {
        if cache.shrink(bytes / self.block_bytes()) {
            return_free_memory();
        }
    }

    fn empty_cache(&self) -> Cache {
        Cache::new(self.model.decoder().cache_layout(), self.blocks)
    }

    /// Starts waiting requests as long as there is room for them. Those in the background leave
    /// room for others: a slot, and all but one of them the cache of one context, or half of a
    /// small cache.
    fn admit(&self, cache: &mut Cache, scratch: &mut Scratch, running: &mut Vec<Sequence>) {
        let spare = self.context_length.div_ceil(BLOCK_SIZE).min(self.blocks / 2);
        loop {
            let background = running.iter().filter(|sequence| sequence.is_background()).count();
            let others = running.len() - background;
            let fits = |job: &Job| {
                let needed = blocks_needed(job, self.context_length);
                match (job.is_background(), background) {
                    (true, 0) => others < self.max_concurrent && cache.has_room(needed),
                    (true, _) => {
                        background + 1 < self.max_concurrent
                            && running.len() < self.max_concurrent
                            && cache.has_room(needed + spare)
                    }
                    // One that is alone in the background takes no slot from those that are not.
                    (false, _) => {
                        let taken = others + background.saturating_sub(1);
                        taken < self.max_concurrent && cache.has_room(needed)
                    }
                }
            };
            let Some(job) = self.queue.pop_if(fits) else { return };
            match Sequence::start(job, &self.model, cache, scratch, self.context_length) {
                Ok(sequence) => running.push(sequence),
                Err(job) => return job.fail(EngineError::Internal),
            }
        }
    }

    fn step(
        &self,
        cache: &mut Cache,
        scratch: &mut Scratch,
        running: &mut [Sequence],
    ) -> Result<(), DeviceError> {
        let model = &*self.model;
        let work: Vec<_> =
            running.iter().map(|sequence| (sequence.turn(), sequence.pending_tokens())).collect();
        let counts = tokens_per_sequence(&work);
        let mut segments: Vec<_> = running
            .iter_mut()
            .zip(&counts)
            .filter(|(_, count)| **count > 0)
            .map(|(sequence, &count)| sequence.segment(cache, count))
            .collect();
        if segments.is_empty() {
            return Ok(());
        }
        model.decoder().run(model.pool(), scratch, &mut segments)?;
        let projections: Vec<Vec<f32>> =
            segments.into_iter().map(|segment| segment.projections).collect();

        let mut wanted: Vec<WantedLogits> = Vec::new();
        let (mut row, mut read) = (0, projections.iter());
        for (index, (sequence, &count)) in
            running.iter_mut().zip(&counts).enumerate().filter(|(_, (_, count))| **count > 0)
        {
            let start = sequence.computed();
            let projections = read.next().map_or(&[][..], Vec::as_slice);
            let offsets = sequence.on_computed(count, projections, model);
            sequence.share_prompt(count, cache);
            wanted.extend(offsets.map(|offset| WantedLogits {
                sequence: index,
                position: start + offset,
                row: row + offset,
            }));
            row += count;
        }
        for wanted in wanted.chunks(LOGIT_ROWS) {
            let rows: Vec<usize> = wanted.iter().map(|wanted| wanted.row).collect();
            let logits = model.decoder().logits(model.pool(), scratch, &rows)?;
            for (wanted, logits) in wanted.iter().zip(logits.chunks_exact(model.vocab_size())) {
                running[wanted.sequence].on_logits(wanted.position, logits, model);
            }
        }
        Ok(())
    }
}

/// Has the allocator give what was freed back to the system. By itself it may keep it for blocks to
/// come.
#[allow(unsafe_code)]
fn return_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes the allocator's own locks, and moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How many tokens each request computes in this step, given its turn and pending tokens. Responses
/// compute one token each; prompts as many as leave the responses their pace, in order of arrival,
/// those in the background last.
fn tokens_per_sequence(running: &[(Turn, usize)]) -> Vec<usize> {
    let any_decoding = running.iter().any(|(turn, _)| *turn == Turn::Decode);
    let mut left = if any_decoding { PREFILL_TOKENS_WHILE_DECODING } else { PREFILL_TOKENS };
    let mut counts = vec![0; running.len()];
    for now in [Turn::Decode, Turn::Prefill, Turn::Background] {
        for (count, (turn, pending)) in counts.iter_mut().zip(running) {
            if *turn != now {
                continue;
            }
            if now == Turn::Decode {
                *count = (*pending).min(1);
            } else {
                *count = (*pending).min(left);
                left -= *count;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests;
