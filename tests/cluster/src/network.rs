//! The network namespace: a veth pair to the host, and no way out.

use crate::paths::Layout;
use crate::run::{capture, run};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// The two ends of the veth pair, a /30 of the range that is set aside for tests of network devices
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

    /// The first /30, from one that depends on the name, that no interface of the host uses.
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

/// Makes the namespace. `pg-NAME` must not exist.
pub(crate) fn create(layout: &Layout, addresses: Addresses) -> Result<()> {
    let netns = layout.node();
    ensure!(
        !exists(&netns),
        "a network namespace {netns} exists that this cluster did not make: choose another name, or delete it with `ip netns del {netns}`"
    );
    let outside = outside(layout);
    ip(&["netns", "add", &netns])?;
    ip(&["link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    ip(&["addr", "add", &format!("{}/30", addresses.host), "dev", &outside])?;
    ip(&["link", "set", &outside, "up"])?;
    let node = addresses.node.to_string();
    for command in [
        vec!["addr", "add", &format!("{node}/30"), "dev", "eth0"],
        vec!["link", "set", "lo", "up"],
        vec!["link", "set", "eth0", "up"],
        // Service addresses need some default route, since routing comes before their translation.
        // This one ends in a bridge without ports: no packet leaves by mistake.
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

/// Whether there is a network namespace of that name.
pub(crate) fn exists(netns: &str) -> bool {
    Path::new("/run/netns").join(netns).exists()
}

/// Ids of the processes in it.
pub(crate) fn processes(netns: &str) -> Vec<u32> {
    let output = capture(Command::new("ip").args(["netns", "pids", netns])).unwrap_or_default();
    output.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Removes the veth pair, then the namespace and with it the bridges and the iptables rules.
pub(crate) fn delete(layout: &Layout) -> Result<()> {
    // The kernel would remove it with the namespace, but only some time later.
    let outside = outside(layout);
    if Path::new("/sys/class/net").join(&outside).exists() {
        ip(&["link", "del", &outside])?;
    }
    let netns = layout.node();
    if exists(&netns) { ip(&["netns", "del", &netns]) } else { Ok(()) }
}

/// The host's end of the veth pair.
fn outside(layout: &Layout) -> String {
    format!("pg-{}-h", layout.name)
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_a_slash_30_of_its_own_in_the_test_range() {
        assert_eq!(Addresses::nth(0).node, Ipv4Addr::new(198, 18, 0, 2));
        assert_eq!(Addresses::nth(1).host, Ipv4Addr::new(198, 18, 0, 5));
        assert_eq!(Addresses::nth((1 << 15) - 1).node, Ipv4Addr::new(198, 19, 255, 254));
        assert_eq!(Addresses::nth(1 << 15), Addresses::nth(0));
    }
}
