//! What was measured.

use serde::Serialize;
use std::fmt;

/// What was measured; speeds are in tokens per second.
#[derive(Clone, Debug, Serialize)]
pub struct BenchResults {
    /// Name of the model.
    pub model: String,
    /// Number of threads.
    pub threads: usize,
    /// Time to load the weights.
    pub load_seconds: f64,
    /// Size of the weights.
    pub weights_mib: usize,
    /// Prefill of a prompt of 256 tokens.
    pub prefill256: f64,
    /// Prefill of a prompt of 2048 tokens, if the context fits it.
    pub prefill2048: Option<f64>,
    /// Decode of one stream.
    pub decode: f64,
    /// Decode with 8 traits measured on every token.
    pub decode_monitored: f64,
    /// Decode with 8 traits measured on every token, one of them steered.
    pub decode_steered: f64,
    /// Speed of decode with 8 traits measured and one steered, relative to plain decode: the median
    /// ratio of adjacent runs.
    pub taps: f64,
    /// Concurrent requests.
    pub streams: Vec<ConcurrentSpeed>,
    /// Largest amount of memory that the process had, where the system tells.
    pub peak_rss_mib: Option<u64>,
}

/// Speed with a number of concurrent requests.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ConcurrentSpeed {
    /// Number of requests.
    pub concurrent: usize,
    /// Speed over all of them.
    pub tokens_per_second: f64,
}

impl fmt::Display for BenchResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} threads", self.model, self.threads)?;
        let mut row =
            |name: &str, value: f64, unit: &str| writeln!(f, "{name:<42} {value:>10.1} {unit}");
        row("load", self.load_seconds, "s")?;
        row("prompt of 256 tokens", self.prefill256, "tokens/s")?;
        if let Some(speed) = self.prefill2048 {
            row("prompt of 2048 tokens", speed, "tokens/s")?;
        }
        row("response, one stream", self.decode, "tokens/s")?;
        row("response, 8 traits monitored", self.decode_monitored, "tokens/s")?;
        row("response, 8 traits monitored, one steered", self.decode_steered, "tokens/s")?;
        row("  of plain, median of adjacent runs", self.taps * 100.0, "%")?;
        for ConcurrentSpeed { concurrent, tokens_per_second } in &self.streams {
            row(&format!("{concurrent} concurrent streams"), *tokens_per_second, "tokens/s")?;
        }
        if let Some(rss) = self.peak_rss_mib {
            writeln!(f, "{:<42} {rss:>10} MiB", "peak memory")?;
        }
        Ok(())
    }
}
