//! Sockets to listen on.

#[cfg(test)]
mod tests;

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Every address of this machine, of IPv6 and of IPv4.
#[must_use]
pub fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
}

/// Listens, for an asynchronous runtime. `[::]` takes IPv4, too, whatever the node's default is;
/// where there is no IPv6, it is `0.0.0.0`.
///
/// # Errors
/// The address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    open(address).or_else(|error| {
        let in_use = error.kind() == io::ErrorKind::AddrInUse;
        if in_use || address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            return Err(error);
        }
        open((Ipv4Addr::UNSPECIFIED, address.port()).into()).map_err(|_| error)
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A successor need not wait for the connections of the one before it.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
