//! `personaguard bench`.

use anyhow::{Context, bail};
use clap::Args;
use personaguard_model::{
    Device, Engine, EngineOptions, Event, GenerateRequest, Generation, Intervention, LoadOptions,
    Model, Positions, Probe,
};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measure a model's speed here: prompts, responses, concurrency, and what monitoring costs.
///
/// Every figure is the median of --repeats runs, in tokens per second. Monitored decoding
/// alternates with plain decoding, and its cost is the median ratio of neighbours (nine at least),
/// so that a busy machine disturbs it less.
///
///   personaguard bench --model model.gguf
///   personaguard bench --model model.gguf --threads 2 --json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Options {
    /// Weights: a GGUF file, or a folder with config.json, tokenizer.json and safetensors.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// cpu, or cuda or cuda:N for an NVIDIA GPU (in a build with the feature cuda).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Threads that compute. Default: the CPU limit of the container, else all cores.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Runs of each measurement.
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: usize,
    /// Tokens of each measured response.
    #[arg(long, value_name = "N", default_value_t = 64)]
    response: usize,
    /// Tokens of each prompt of concurrent requests.
    #[arg(long, value_name = "N", default_value_t = 16)]
    prompt: u32,
    /// Numbers of concurrent requests to measure.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 4, 8, 16])]
    streams: Vec<usize>,
    /// Print one JSON object in place of the table.
    #[arg(long)]
    json: bool,
}

/// Least number of neighbouring runs whose ratio tells what monitoring costs: single ones scatter
/// by a tenth and more.
const PAIRS: usize = 9;

/// What was measured; speeds in tokens per second.
#[derive(Debug, Serialize)]
struct Results {
    model: String,
    threads: usize,
    load_seconds: f64,
    weights_mib: usize,
    prefill256: f64,
    prefill2048: Option<f64>,
    decode: f64,
    /// 8 traits on every token.
    decode_monitored: f64,
    /// 8 traits on every token, one of them steered.
    decode_steered: f64,
    /// Median ratio of neighbouring runs, monitored and steered over plain.
    taps: f64,
    streams: Vec<Streams>,
    peak_rss_mib: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Streams {
    concurrent: usize,
    /// Over all requests.
    tokens_per_second: f64,
}

/// Measures.
///
/// # Errors
/// The model cannot be loaded, or a request fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.repeats == 0
        || options.prompt == 0
        || options.response < 2
        || options.streams.contains(&0)
    {
        bail!("--repeats, --prompt and --streams must be at least 1, --response at least 2");
    }
    let started = Instant::now();
    let load =
        LoadOptions { threads: options.threads, device: options.device, ..LoadOptions::default() };
    let model = Arc::new(Model::load(&options.model, &load)?);
    let load_seconds = started.elapsed().as_secs_f64();
    let most = options.streams.iter().copied().max().unwrap_or(1).max(1);
    // As much as the streams need, and the long prompt: memory is then that of a server of this
    // size.
    let tokens = (most * (options.prompt as usize + options.response + 32)).max(4096);
    let kv_bytes = Some(model.kv_bytes(tokens));
    let engine =
        Engine::start(model, EngineOptions { max_concurrent: most, max_waiting: most, kv_bytes })?;
    let results = Bench { engine, options, salt: 0 }.measure(load_seconds)?;
    if options.json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print_table(&results);
    }
    Ok(())
}

struct Bench<'a> {
    engine: Engine,
    options: &'a Options,
    /// Makes every prompt another, so that none is found in the cache.
    salt: u32,
}

impl Bench<'_> {
    fn measure(mut self, load_seconds: f64) -> anyhow::Result<Results> {
        let model = self.engine.model().clone();
        self.prefill(256)?; // warm-up
        let prefill256 = self.repeat(|bench| bench.prefill(256))?;
        let prefill2048 = match self.engine.context_length() > 2048 {
            true => Some(self.repeat(|bench| bench.prefill(2048))?),
            false => None,
        };
        let monitored = self.request(true, false)?;
        let steered = self.request(true, true)?;
        let plain = GenerateRequest::default();
        let mut runs: [Vec<f64>; 3] = Default::default();
        for _ in 0..self.options.repeats.max(PAIRS) {
            for (runs, request) in runs.iter_mut().zip([&plain, &monitored, &steered]) {
                runs.push(self.decode(request)?);
            }
        }
        let taps =
            median(runs[2].iter().zip(&runs[0]).map(|(steered, plain)| steered / plain).collect());
        let [decode, decode_monitored, decode_steered] = runs.map(median);
        let mut streams = Vec::new();
        for &concurrent in &self.options.streams {
            let tokens_per_second = self.repeat(|bench| bench.concurrent(concurrent))?;
            streams.push(Streams { concurrent, tokens_per_second });
        }
        Ok(Results {
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

    fn repeat(
        &mut self,
        mut run: impl FnMut(&mut Self) -> anyhow::Result<f64>,
    ) -> anyhow::Result<f64> {
        let runs = (0..self.options.repeats).map(|_| run(self)).collect::<anyhow::Result<_>>()?;
        Ok(median(runs))
    }

    fn prompt(&mut self, tokens: u32) -> Vec<u32> {
        self.salt += 1;
        let vocabulary =
            u32::try_from(self.engine.model().tokenizer().vocabulary()).unwrap_or(u32::MAX).max(2);
        let token = |index: u32| {
            index.wrapping_mul(7919).wrapping_add(self.salt.wrapping_mul(104_729)) % vocabulary
        };
        (0..tokens).map(token).collect()
    }

    fn prefill(&mut self, tokens: u32) -> anyhow::Result<f64> {
        let request =
            GenerateRequest { prompt: self.prompt(tokens), max_tokens: 1, ..Default::default() };
        let started = Instant::now();
        let mut generation = self.engine.submit(request)?;
        let mut read = None;
        while let Some(event) = next(&mut generation)? {
            if matches!(event, Event::Prompt(_)) {
                read = Some(started.elapsed());
            }
        }
        Ok(speed(tokens as usize, read.context("the prompt was not read")?))
    }

    fn decode(&mut self, request: &GenerateRequest) -> anyhow::Result<f64> {
        // A model may end a nonsense response at once: then another prompt.
        for _ in 0..20 {
            let (prompt, max_tokens) = (self.prompt(16), self.options.response);
            let mut generation =
                self.engine.submit(GenerateRequest { prompt, max_tokens, ..request.clone() })?;
            let (mut first, mut last, mut tokens) = (None, None, 0);
            while let Some(event) = next(&mut generation)? {
                match event {
                    Event::Prompt(_) => first = Some(Instant::now()),
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

    fn concurrent(&mut self, streams: usize) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut generations = Vec::new();
        for _ in 0..streams {
            let (prompt, max_tokens) = (self.prompt(self.options.prompt), self.options.response);
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

    /// Eight vectors around the middle of the model; the first also steers, too weakly to change
    /// the text.
    fn request(&self, monitored: bool, steered: bool) -> anyhow::Result<GenerateRequest> {
        let model = self.engine.model();
        #[allow(clippy::cast_precision_loss)]
        let vector = |index: usize| -> Vec<f32> {
            (0..model.hidden()).map(|d| ((d * 37 + index * 11) % 101) as f32 / 50.0 - 1.0).collect()
        };
        let layer = |index: usize| (model.layers() / 2 + index % 4).min(model.layers());
        let probes = (0..8)
            .map(|index| Probe::new(layer(index), &vector(index)))
            .collect::<Result<Vec<_>, _>>()?;
        let steer = Intervention::add(layer(0), &vector(0), 1e-4, Positions::Response)?;
        Ok(GenerateRequest {
            probes: if monitored { probes.into() } else { Arc::default() },
            interventions: if steered { Arc::new([steer]) } else { Arc::default() },
            ..Default::default()
        })
    }
}

fn next(generation: &mut Generation) -> anyhow::Result<Option<Event>> {
    match generation.blocking_next() {
        Some(Event::Failed(error)) => Err(error.into()),
        event => Ok(event),
    }
}

#[allow(clippy::cast_precision_loss)]
fn speed(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(1e-9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Most memory that the process had, in MiB; `None` where the system does not say.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}

fn print_table(results: &Results) {
    let row = |name: &str, value: f64, unit: &str| println!("{name:<42} {value:>10.1} {unit}");
    println!("{}, {} threads", results.model, results.threads);
    row("load", results.load_seconds, "s");
    row("prompt of 256 tokens", results.prefill256, "tokens/s");
    if let Some(speed) = results.prefill2048 {
        row("prompt of 2048 tokens", speed, "tokens/s");
    }
    row("response, one stream", results.decode, "tokens/s");
    row("response, 8 traits monitored", results.decode_monitored, "tokens/s");
    row("response, 8 traits monitored, one steered", results.decode_steered, "tokens/s");
    row("  of plain, median of neighbouring runs", results.taps * 100.0, "%");
    for streams in &results.streams {
        row(
            &format!("{} streams together", streams.concurrent),
            streams.tokens_per_second,
            "tokens/s",
        );
    }
    if let Some(rss) = results.peak_rss_mib {
        println!("{:<42} {rss:>10} MiB", "most memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_speeds() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((speed(100, Duration::from_millis(500)) - 200.0).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
