//! The table of TCP sockets of a network namespace. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Sockets as `/proc/net/tcp` and `/proc/net/tcp6` list them.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Socket>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: State,
    inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Established,
    Listening,
}

/// Both ends of a connection, the server's first.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Connections of a pod that do not pass its sidecar.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Foreign {
    /// From outside the pod to a container.
    pub(super) app: BTreeSet<Ends>,
    /// To the port behind the sidecar, by others than the sidecar.
    pub(super) past_sidecar: BTreeSet<Ends>,
}

impl Table {
    /// Reads the tables. Lines that are none, and sockets that are neither connected nor listening,
    /// are left out.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(socket).collect())
    }

    /// `own` are the sockets of this process, `node` the addresses of the node, from which probes
    /// come, and `upstream` is the port behind the sidecar.
    pub(super) fn foreign(
        &self,
        own: &BTreeSet<u64>,
        node: &BTreeSet<IpAddr>,
        upstream: Option<u16>,
    ) -> Foreign {
        let listening: BTreeSet<u16> = self
            .0
            .iter()
            .filter(|socket| socket.state == State::Listening && !own.contains(&socket.inode))
            .map(|socket| socket.local.port())
            .collect();
        let mut found = Foreign::default();
        let served = self.0.iter().filter(|socket| {
            socket.state == State::Established
                && listening.contains(&socket.local.port())
                && !own.contains(&socket.inode)
                && !node.contains(&socket.remote.ip())
        });
        for socket in served {
            let ends = (socket.local, socket.remote);
            let client = self.other_end(socket);
            if client.is_none() {
                found.app.insert(ends);
            }
            let by_sidecar = client.is_some_and(|client| own.contains(&client.inode));
            if upstream == Some(socket.local.port()) && !by_sidecar {
                found.past_sidecar.insert(ends);
            }
        }
        found
    }

    /// The client's end of a connection within the pod.
    fn other_end(&self, socket: &Socket) -> Option<&Socket> {
        self.0.iter().find(|other| other.local == socket.remote && other.remote == socket.local)
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn socket(line: &str) -> Option<Socket> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
    let state = match fields.next()? {
        "01" => State::Established,
        "0A" => State::Listening,
        _ => return None,
    };
    let inode = fields.nth(5)?.parse().ok()?;
    Some(Socket { local, remote, state, inode })
}

/// The gateways of the default routes, as `/proc/net/route` lists them: in a pod that is its node.
pub(super) fn gateways(text: &str) -> BTreeSet<IpAddr> {
    let gateway = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        (destination == "00000000").then(|| ip(gateway))?
    };
    text.lines().filter_map(gateway).filter(|address| !address.is_unspecified()).collect()
}

/// `0100007F:1F90`.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    Some(SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// `0100007F`: words in the machine's byte order.
fn ip(address: &str) -> Option<IpAddr> {
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(address)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(address.get(8 * index..8 * index + 8)?)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
