//! The engine's thread: at each step, every running request feeds what it has, all in one batch.

use super::event::EngineError;
use super::queue::Queue;
use super::sequence::{Sequence, blocks_needed};
use crate::Model;
use crate::decoder::{DeviceError, Scratch};
use crate::kv::Cache;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Prompt tokens that a step feeds when nobody waits for a next token.
const PREFILL_TOKENS: usize = 256;
/// Prompt tokens that a step feeds beside running responses, so that these go on.
const PREFILL_TOKENS_BESIDE: usize = 64;
/// Rows whose logits are computed at a time.
const LOGIT_ROWS: usize = 16;

pub(super) struct Scheduler {
    pub(super) model: Arc<Model>,
    pub(super) queue: Arc<Queue>,
    pub(super) max_concurrent: usize,
    pub(super) blocks: usize,
    pub(super) context_length: usize,
}

impl Scheduler {
    /// Runs until the queue is closed.
    pub(super) fn run(self) {
        let mut cache = Cache::new(self.model.decoder.cache_layout(), self.blocks);
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
                cache = Cache::new(self.model.decoder.cache_layout(), self.blocks);
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
        }
        running.iter_mut().for_each(|sequence| sequence.fail(EngineError::Stopped));
        self.queue.set_running(0);
    }

    fn admit(&self, cache: &mut Cache, scratch: &mut Scratch, running: &mut Vec<Sequence>) {
        while running.len() < self.max_concurrent {
            let job = self.queue.pop(|job| cache.has_room(blocks_needed(job, self.context_length)));
            let Some(job) = job else { return };
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
        let counts =
            share(running.iter().map(|sequence| (sequence.is_decoding(), sequence.ready())));
        let mut segments: Vec<_> = running
            .iter_mut()
            .zip(&counts)
            .filter(|(_, count)| **count > 0)
            .map(|(sequence, &count)| sequence.segment(cache, count))
            .collect();
        if segments.is_empty() {
            return Ok(());
        }
        model.decoder.run(&model.pool, scratch, &mut segments)?;
        let projections: Vec<Vec<f32>> =
            segments.into_iter().map(|segment| segment.projections).collect();

        // (sequence, position, row) of all logits that are wanted.
        let mut wanted: Vec<(usize, usize, usize)> = Vec::new();
        let (mut row, mut read) = (0, projections.iter());
        for (index, (sequence, &count)) in
            running.iter_mut().zip(&counts).enumerate().filter(|(_, (_, c))| **c > 0)
        {
            let offsets: Range<usize> =
                sequence.fed(count, read.next().map_or(&[], Vec::as_slice), model);
            sequence.share_prompt(count, cache);
            let start = sequence.piece_start(count);
            wanted.extend(offsets.map(|offset| (index, start + offset, row + offset)));
            row += count;
        }
        for wanted in wanted.chunks(LOGIT_ROWS) {
            let rows: Vec<usize> = wanted.iter().map(|&(_, _, row)| row).collect();
            let logits = model.decoder.logits(&model.pool, scratch, &rows)?;
            for (&(index, position, _), logits) in
                wanted.iter().zip(logits.chunks_exact(model.vocabulary()))
            {
                running[index].logits(position, logits, model);
            }
        }
        Ok(())
    }
}

/// How many tokens each request feeds, of pairs (writes its response, tokens that it could feed):
/// responses one each, then prompts in order of arrival, as many as leave the responses their pace.
fn share(running: impl Iterator<Item = (bool, usize)> + Clone) -> Vec<usize> {
    let beside = running.clone().any(|(decoding, _)| decoding);
    let mut left = if beside { PREFILL_TOKENS_BESIDE } else { PREFILL_TOKENS };
    let of = |(decoding, ready): (bool, usize)| {
        if decoding {
            return ready.min(1);
        }
        let count = ready.min(left);
        left -= count;
        count
    };
    running.map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_prompt_neither_stalls_responses_nor_is_it_starved_by_them() {
        let (writes, reads) = (true, false);
        let share = |running: &[(bool, usize)]| share(running.iter().copied());
        assert_eq!(share(&[(reads, 3000)]), [PREFILL_TOKENS]);
        assert_eq!(
            share(&[(writes, 1), (reads, 3000), (writes, 1)]),
            [1, PREFILL_TOKENS_BESIDE, 1]
        );
        // Whoever came first reads first, and the rest of the step goes to the next.
        assert_eq!(
            share(&[(reads, 60), (writes, 1), (reads, 3000), (reads, 5)]),
            [60, 1, PREFILL_TOKENS_BESIDE - 60, 0]
        );
        assert_eq!(share(&[(reads, 100), (reads, 200)]), [100, PREFILL_TOKENS - 100]);
        // A response whose next token is not known yet feeds none.
        assert_eq!(share(&[(writes, 0), (reads, 10)]), [0, 10]);
    }
}
