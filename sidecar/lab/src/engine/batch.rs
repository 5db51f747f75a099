//! Many requests at a time.

use crate::error::{LabError, Result};
use crate::progress::Progress;
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// How many requests the engine runs at the same time.
pub(super) const BATCH: usize = 32;
/// How many requests are in flight: enough to fill the engine's batch, few enough to bound memory.
pub(crate) const IN_FLIGHT: usize = 2 * BATCH;

/// Runs `work` on each item, many at a time and with a progress bar. Results are in the order of
/// the items.
///
/// # Errors
/// The first error, in the order of the items.
pub(crate) async fn run_in_order<I, T>(
    title: &'static str,
    items: Vec<I>,
    work: impl AsyncFn(I) -> Result<T>,
) -> Result<Vec<T>> {
    let bar = Progress::start(title, items.len());
    let (running, stepping) = (&work, &bar);
    let results = stream::iter(items)
        .map(|item| async move {
            let result = running(item).await?;
            stepping.step();
            Ok::<_, LabError>(result)
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await;
    bar.finish();
    results
}
