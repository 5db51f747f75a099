//! Waiting for what a cluster does in its own time.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Asks every 50 ms until there is an answer, and says how long it took.
///
/// `probe` returns `Ok(Some(answer))` when what was waited for is there; `Ok(None)` and errors mean
/// "not yet".
///
/// # Errors
/// When `patience` runs out; the message carries the last error.
pub async fn until<T, F, P>(what: &str, patience: Duration, mut probe: P) -> Result<(T, Duration)>
where
    P: FnMut() -> F,
    F: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    let mut last_error = None;
    while start.elapsed() < patience {
        match probe().await {
            Ok(Some(answer)) => return Ok((answer, start.elapsed())),
            Ok(None) => last_error = None,
            Err(error) => last_error = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    match last_error {
        Some(error) => Err(error.context(format!("waited {patience:?} for {what}"))),
        None => bail!("waited {patience:?} for {what}"),
    }
}
