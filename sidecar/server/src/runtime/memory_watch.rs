//! Gives memory of the KV cache back: under pressure, and when nobody asks.

use super::app_state::AppState;
use super::memory::ContainerMemory;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);
/// Time without a request after which the prefix cache is cut to one context.
const IDLE: Duration = Duration::from_mins(5);

/// What is seen at a time.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Share of the container's limit that is in use, where it is known.
    used: Option<f64>,
    /// Whether a request runs or waits.
    busy: bool,
    kv_bytes: usize,
    /// Bytes of one context.
    context_bytes: usize,
}

#[derive(Debug, Default)]
struct Watch {
    idle: Duration,
}

impl Watch {
    /// To how many bytes the KV cache is to shrink, if it is.
    fn next(&mut self, look: Look) -> Option<usize> {
        /// Share of the limit from which on memory is given back.
        const PRESSURE: f64 = 0.9;
        self.idle = if look.busy { Duration::ZERO } else { self.idle + LOOK };
        if look.kv_bytes == 0 {
            return None;
        }
        if look.used.is_some_and(|used| used >= PRESSURE) {
            return Some(look.kv_bytes / 2);
        }
        (self.idle >= IDLE && look.kv_bytes > look.context_bytes).then_some(look.context_bytes)
    }
}

/// Watches until `stop`.
pub(crate) async fn watch_memory(app: Arc<AppState>, stop: CancellationToken) {
    let container = ContainerMemory::find(Path::new("/"));
    let mut watch = Watch::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let Some(active) = app.active_model() else { continue };
        let engine = &active.engine;
        let used = container.as_ref().and_then(|container| {
            #[allow(clippy::cast_precision_loss, reason = "a share of a limit")]
            Some(container.working_set()? as f64 / container.limit.max(1) as f64)
        });
        let look = Look {
            used,
            busy: engine.running() + engine.waiting() > 0,
            kv_bytes: engine.kv_bytes(),
            context_bytes: engine.model().kv_bytes(engine.context_length()),
        };
        if let Some(bytes) = watch.next(look) {
            tracing::info!(
                from_bytes = look.kv_bytes,
                to_bytes = bytes,
                memory_used = used,
                "the KV cache gives memory back"
            );
            engine.shrink_kv(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
