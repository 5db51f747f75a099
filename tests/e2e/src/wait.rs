//! Waiting for the cluster.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Between two probes. Scenarios measure times with it, so it is short, and does not back off.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `probe` until it returns `Ok(Some(answer))`, and says how long that took. `Ok(None)` and
/// errors mean "not yet".
///
/// # Errors
/// When `patience` is exceeded, with the last error.
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
        tokio::time::sleep(INTERVAL).await;
    }
    match last_error {
        Some(error) => Err(error.context(format!("waited {patience:?} for {what}"))),
        None => bail!("waited {patience:?} for {what}"),
    }
}
