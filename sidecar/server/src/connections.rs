//! Connections of the pod that do not pass this sidecar. The containers of a pod share a network
//! namespace, so `/proc/net/tcp` shows whether the app is used, and by whom it is reached.
//! Addresses stay here: what is reported is how many there were.

mod counts;
mod table;

pub use counts::ConnectionCounts;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use table::{Table, gateways};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the table is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Follows the connections of the pod until `stop`. `upstream` is the port of the app in placement
/// Proxy.
pub(crate) async fn watch(
    counts: Arc<ConnectionCounts>,
    upstream: Option<u16>,
    notify: impl Fn() + Send,
    stop: CancellationToken,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Ok(Some(seen)) = spawn_blocking(read).await else { continue };
        let foreign = seen.table.foreign(&seen.own, &seen.node, upstream);
        if counts.observe(&foreign, Instant::now()) {
            notify();
        }
    }
}

/// What the system shows of a network namespace.
struct Seen {
    table: Table,
    /// Sockets of this process.
    own: BTreeSet<u64>,
    /// Addresses of the node.
    node: BTreeSet<IpAddr>,
}

/// `None` where the system shows nothing.
fn read() -> Option<Seen> {
    let text = |path| std::fs::read_to_string(path).ok();
    let (v4, v6) = (text("/proc/net/tcp"), text("/proc/net/tcp6"));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let table = Table::parse(&[v4.unwrap_or_default(), v6.unwrap_or_default()].concat());
    let node = gateways(&text("/proc/net/route").unwrap_or_default());
    Some(Seen { table, own: own_sockets(), node })
}

/// Inodes of the sockets that this process has open.
fn own_sockets() -> BTreeSet<u64> {
    let Ok(files) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let links = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    links
        .filter_map(|link| {
            let text = link.to_str()?;
            text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}
