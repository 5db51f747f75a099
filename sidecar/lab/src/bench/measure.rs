//! The measurements.

use super::results::{BenchResults, ConcurrentSpeed};
use crate::error::{Context as _, Result, bail};
use personaguard_model::{
    Engine, Event, GenerateRequest, Generation, Intervention, Positions, Tap,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least number of adjacent runs whose ratio tells what monitoring costs: single ratios scatter by
/// a tenth and more.
const MIN_PAIRS: usize = 9;
/// Tokens of the prompt of a response that is measured.
const DECODE_PROMPT: u32 = 16;
/// How often another prompt is tried if a response ends at once.
const ATTEMPTS: usize = 20;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct BenchLengths {
    /// Number of runs of each measurement.
    pub repeats: usize,
    /// Tokens of each response.
    pub response: usize,
    /// Tokens of each prompt of concurrent requests.
    pub prompt: u32,
    /// Numbers of concurrent requests.
    pub streams: Vec<usize>,
}

/// A running benchmark.
pub(super) struct Bench<'a> {
    engine: Engine,
    lengths: &'a BenchLengths,
    /// Makes every prompt different, so that none is found in the prefix cache.
    salt: u32,
}

impl<'a> Bench<'a> {
    pub(super) fn new(engine: Engine, lengths: &'a BenchLengths) -> Self {
        Self { engine, lengths, salt: 0 }
    }

    /// Takes all measurements.
    ///
    /// # Errors
    /// If a request fails.
    pub(super) fn measure(mut self, load_seconds: f64) -> Result<BenchResults> {
        let model = self.engine.model().clone();
        self.prefill(256)?; // warm-up
        let prefill256 = self.repeat(|bench| bench.prefill(256))?;
        let prefill2048 = match self.engine.context_length() > 2048 {
            true => Some(self.repeat(|bench| bench.prefill(2048))?),
            false => None,
        };
        let (monitored, steered) = (self.request(false)?, self.request(true)?);
        let plain = GenerateRequest::default();
        let mut runs: [Vec<f64>; 3] = Default::default();
        for _ in 0..self.lengths.repeats.max(MIN_PAIRS) {
            for (runs, request) in runs.iter_mut().zip([&plain, &monitored, &steered]) {
                runs.push(self.decode(request)?);
            }
        }
        let ratios = runs[2].iter().zip(&runs[0]).map(|(steered, plain)| steered / plain);
        let taps = median(ratios.collect());
        let [decode, decode_monitored, decode_steered] = runs.map(median);
        let mut streams = Vec::new();
        for &concurrent in &self.lengths.streams {
            let tokens_per_second = self.repeat(|bench| bench.concurrent(concurrent))?;
            streams.push(ConcurrentSpeed { concurrent, tokens_per_second });
        }
        Ok(BenchResults {
            model: model.name().to_owned(),
            threads: model.threads(),
            load_seconds,
            weights_mib: model.weight_bytes() >> 20,
            prefill256,
            prefill2048,
            decode,
            decode_monitored,
            decode_steered,
            taps,
            streams,
            peak_rss_mib: peak_rss_mib(),
        })
    }

    fn repeat(&mut self, mut run: impl FnMut(&mut Self) -> Result<f64>) -> Result<f64> {
        let runs = (0..self.lengths.repeats).map(|_| run(self)).collect::<Result<_>>()?;
        Ok(median(runs))
    }

    /// A prompt of pseudo-random tokens.
    fn prompt(&mut self, tokens: u32) -> Vec<u32> {
        self.salt += 1;
        let vocabulary =
            u32::try_from(self.engine.model().tokenizer().vocab_size()).unwrap_or(u32::MAX).max(2);
        let token = |index: u32| {
            index.wrapping_mul(7919).wrapping_add(self.salt.wrapping_mul(104_729)) % vocabulary
        };
        (0..tokens).map(token).collect()
    }

    fn prefill(&mut self, tokens: u32) -> Result<f64> {
        let request =
            GenerateRequest { prompt: self.prompt(tokens), max_tokens: 1, ..Default::default() };
        let started = Instant::now();
        let mut generation = self.engine.submit(request)?;
        let mut read = None;
        while let Some(event) = next(&mut generation)? {
            if matches!(event, Event::Prefill(_)) {
                read = Some(started.elapsed());
            }
        }
        Ok(speed(tokens as usize, read.context("the prompt was not read")?))
    }

    fn decode(&mut self, request: &GenerateRequest) -> Result<f64> {
        // A model may end a response to a nonsense prompt at once. Then another prompt is tried.
        for _ in 0..ATTEMPTS {
            let (prompt, max_tokens) = (self.prompt(DECODE_PROMPT), self.lengths.response);
            let mut generation =
                self.engine.submit(GenerateRequest { prompt, max_tokens, ..request.clone() })?;
            let (mut first, mut last, mut tokens) = (None, None, 0);
            while let Some(event) = next(&mut generation)? {
                match event {
                    Event::Prefill(_) => first = Some(Instant::now()),
                    Event::Token(_) => {
                        tokens += 1;
                        last = Some(Instant::now());
                    }
                    Event::End(_) | Event::Failed(_) => {}
                }
            }
            if let (Some(first), Some(last)) = (first, last) {
                return Ok(speed(tokens, last - first));
            }
        }
        bail!("the model ends every response at once: its speed cannot be measured")
    }

    fn concurrent(&mut self, streams: usize) -> Result<f64> {
        let started = Instant::now();
        let mut generations = Vec::new();
        for _ in 0..streams {
            let (prompt, max_tokens) = (self.prompt(self.lengths.prompt), self.lengths.response);
            generations.push(self.engine.submit(GenerateRequest {
                prompt,
                max_tokens,
                ..Default::default()
            })?);
        }
        let mut tokens = 0;
        for mut generation in generations {
            while let Some(event) = next(&mut generation)? {
                tokens += usize::from(matches!(event, Event::Token(_)));
            }
        }
        Ok(speed(tokens, started.elapsed()))
    }

    /// A request that is monitored by eight vectors around the middle of the model. The first also
    /// steers, if that is asked for, but too weakly to change the text.
    fn request(&self, steered: bool) -> Result<GenerateRequest> {
        let model = self.engine.model();
        let vector = |index: usize| -> Vec<f32> {
            (0..model.hidden_size())
                .map(|d| ((d * 37 + index * 11) % 101) as f32 / 50.0 - 1.0)
                .collect()
        };
        let layer = |index: usize| (model.layers() / 2 + index % 4).min(model.layers());
        let taps = (0..8)
            .map(|index| Tap::new(layer(index), &vector(index)))
            .collect::<Result<Arc<[Tap]>, _>>()?;
        let steering = Intervention::add(layer(0), &vector(0), 1e-4, Positions::Response)?;
        let interventions = steered.then_some(steering).into_iter().collect();
        Ok(GenerateRequest { taps, interventions, ..Default::default() })
    }
}

fn next(generation: &mut Generation) -> Result<Option<Event>> {
    match generation.blocking_next() {
        Some(Event::Failed(error)) => Err(error.into()),
        event => Ok(event),
    }
}

fn speed(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(1e-9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Largest amount of memory that the process had, in MiB; `None` where the system does not tell.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests;
