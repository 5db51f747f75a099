//! The network namespace. A veth pair connects it to the host, and to nothing else.

use crate::paths::Layout;
use crate::run::{capture, run};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// The two ends of the veth pair. They are a /30 network in the range for benchmarks of network
/// devices (RFC 2544).
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

    /// A /30 that no interface of the host uses. The search starts at one that depends on the name.
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
        "there is already a network namespace {netns}, which is not this cluster's: choose another \
         name, or delete it with `ip netns del {netns}`"
    );
    let link = host_link(layout);
    ip(&["netns", "add", &netns])?;
    ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    ip(&["addr", "add", &format!("{}/30", addresses.host), "dev", &link])?;
    ip(&["link", "set", &link, "up"])?;
    let node = addresses.node.to_string();
    for command in [
        vec!["addr", "add", &format!("{node}/30"), "dev", "eth0"],
        vec!["link", "set", "lo", "up"],
        vec!["link", "set", "eth0", "up"],
        // Service addresses need a default route, because routing happens before their translation.
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

/// Whether there is a network namespace with that name.
pub(crate) fn exists(netns: &str) -> bool {
    Path::new("/run/netns").join(netns).exists()
}

/// Ids of the processes in it.
pub(crate) fn processes(netns: &str) -> Vec<u32> {
    let output = capture(Command::new("ip").args(["netns", "pids", netns])).unwrap_or_default();
    output.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes the veth pair, then the namespace with its bridges and iptables rules.
pub(crate) fn delete(layout: &Layout) -> Result<()> {
    // The kernel would remove it with the namespace, but only after some time.
    let link = host_link(layout);
    if Path::new("/sys/class/net").join(&link).exists() {
        ip(&["link", "del", &link])?;
    }
    let netns = layout.node();
    if exists(&netns) { ip(&["netns", "del", &netns]) } else { Ok(()) }
}

/// The host's end of the veth pair.
fn host_link(layout: &Layout) -> String {
    format!("pg-{}-h", layout.name)
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

#[cfg(test)]
mod tests;
