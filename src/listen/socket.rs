//! TCP sockets that listen: bound once or shared between threads, and errors that say what to do.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the kernel keeps for us before they are accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens on `address`, for this process alone. Port 0 takes a free one.
///
/// # Errors
/// [`BindError`] when the address can't be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = bound(address, false)?;
    listening(socket, address)
}

/// `count` sockets that listen on `address`, between which the kernel spreads the connections (SO_REUSEPORT). Each
/// thread has one, so that they share no lock.
///
/// # Errors
/// [`BindError`] when the address can't be had, also when another process shares the port in the same way.
pub fn bind_shared(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, BindError> {
    // With SO_REUSEPORT a second process would be let in without a word; without it the kernel tells us.
    let probe = bound(address, false)?;
    let address = probe
        .local_addr()
        .ok()
        .and_then(|found| found.as_socket())
        .unwrap_or(address);
    drop(probe);
    (0..count.max(1))
        .map(|_| listening(bound(address, true)?, address))
        .collect()
}

fn bound(address: SocketAddr, shared: bool) -> Result<Socket, BindError> {
    let open = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    open().map_err(|source| BindError { address, source })
}

fn listening(socket: Socket, address: SocketAddr) -> Result<TcpListener, BindError> {
    socket
        .listen(BACKLOG)
        .map_err(|source| BindError { address, source })?;
    Ok(socket.into())
}

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", advice(source))]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> String {
    let known = [
        (
            io::ErrorKind::AddrInUse,
            "the port is in use; stop the program that has it, or choose another port in the configuration",
        ),
        (
            io::ErrorKind::AddrNotAvailable,
            "this machine has no such address; use one of its own, or 0.0.0.0 for all of them",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or choose a higher port",
        ),
    ];
    known
        .iter()
        .find(|(kind, _)| *kind == error.kind())
        .map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_port_in_use_is_named_with_what_to_do() {
        let first = bind(loopback(0)).expect("a free port");
        let address = first.local_addr().expect("an address");
        for second in [bind(address).err(), bind_shared(address, 2).err()] {
            assert_eq!(
                second.map(|e| e.to_string()),
                Some(format!(
                    "cannot listen on {address}: the port is in use; stop the program that has \
                     it, or choose another port in the configuration"
                ))
            );
        }
    }

    #[test]
    fn threads_share_a_port_but_a_second_process_is_refused() {
        let shared = bind_shared(loopback(0), 3).expect("a free port");
        let address = shared[0].local_addr().expect("an address");
        assert!(
            shared
                .iter()
                .all(|socket| socket.local_addr().ok() == Some(address))
        );
        // The second call stands for the second process: SO_REUSEPORT alone would let it in.
        assert!(bind_shared(address, 1).is_err());
    }
}
