//! The network namespace: connected to the host by a veth pair, and to nothing else.

#[cfg(test)]
mod tests;

use crate::paths::Layout;
use crate::run::{capture, run};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// The two ends of the veth pair: a /30 of the range reserved for benchmarks of network devices
/// (RFC 2544).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) host: Ipv4Addr,
    /// The node, the API server and the cluster's DNS.
    pub(crate) node: Ipv4Addr,
}

impl Addresses {
    /// The `index`-th /30 of 198.18.0.0/15.
    fn nth(index: u32) -> Self {
        let network = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + index % (1 << 15) * 4;
        Self { host: Ipv4Addr::from(network + 1), node: Ipv4Addr::from(network + 2) }
    }

    /// The first /30 that no interface of the host uses, starting from one that the name selects.
    pub(crate) fn free(name: &str) -> Result<Self> {
        let used = capture(Command::new("ip").args(["-o", "-4", "addr", "show"]))?;
        let start = name
            .bytes()
            .fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        (0..1024)
            .map(|offset| Self::nth(start.wrapping_add(offset)))
            .find(|addresses| !used.contains(&format!(" {}/", addresses.host)))
            .context("no free network in 198.18.0.0/15")
    }
}

/// Creates the namespace `pg-NAME`, which must not exist.
pub(crate) fn create(layout: &Layout, addresses: Addresses) -> Result<()> {
    let netns = layout.node();
    ensure!(
        !exists(&netns),
        "the network namespace {netns} exists already, and this cluster did not make it: choose \
         another name, or delete it with `ip netns del {netns}`"
    );
    let host_end = host_end(layout);
    ip(&["netns", "add", &netns])?;
    ip(&["link", "add", &host_end, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    ip(&["addr", "add", &format!("{}/30", addresses.host), "dev", &host_end])?;
    ip(&["link", "set", &host_end, "up"])?;
    let node = addresses.node.to_string();
    for command in [
        vec!["addr", "add", &format!("{node}/30"), "dev", "eth0"],
        vec!["link", "set", "lo", "up"],
        vec!["link", "set", "eth0", "up"],
        // Service addresses need a default route, since routing comes before their translation.
        // This one ends in a bridge without ports, so that no packet can leave.
        vec!["link", "add", "out0", "type", "bridge"],
        vec!["link", "set", "out0", "up"],
        vec!["route", "add", "default", "dev", "out0", "src", &node],
    ] {
        let mut arguments = vec!["-n", netns.as_str()];
        arguments.extend(command);
        ip(&arguments)?;
    }
    run(Command::new("nsenter").arg(format!("--net=/run/netns/{netns}")).args([
        "sh",
        "-c",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]))
}

/// Whether a network namespace with this name exists.
pub(crate) fn exists(netns: &str) -> bool {
    Path::new("/run/netns").join(netns).exists()
}

/// The ids of the processes in a network namespace.
pub(crate) fn processes(netns: &str) -> Vec<u32> {
    let output = capture(Command::new("ip").args(["netns", "pids", netns])).unwrap_or_default();
    output.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes the veth pair, then the namespace, and with it the bridges and the iptables rules.
pub(crate) fn delete(layout: &Layout) -> Result<()> {
    // The kernel would remove it with the namespace, but only after some time.
    let host_end = host_end(layout);
    if Path::new("/sys/class/net").join(&host_end).exists() {
        ip(&["link", "del", &host_end])?;
    }
    let netns = layout.node();
    if exists(&netns) { ip(&["netns", "del", &netns]) } else { Ok(()) }
}

/// The host's end of the veth pair.
fn host_end(layout: &Layout) -> String {
    format!("pg-{}-h", layout.name)
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}
