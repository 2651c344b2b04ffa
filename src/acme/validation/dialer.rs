//! The only thing here that connects to what a client chose. A name is resolved once, each of its addresses is held
//! against the networks, and the connection goes to that very address: a name that resolves differently the next time,
//! or leads to an internal one by a CNAME, gains nothing (DNS rebinding).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};
use url::Host;

use super::{
    failure,
    networks::{Networks, RefusedAddress},
    resolver::Resolver,
};
use crate::domain::challenge::ValidationFailure;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 4;

/// How long one address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to what may be connected to.
pub struct Dialer {
    resolver: Resolver,
    networks: Networks,
}

/// A connection, and where it goes.
pub struct Dialed {
    /// The connection.
    pub stream: TcpStream,
    /// Its other end, for whoever has to find a fault.
    pub address: SocketAddr,
}

impl Dialer {
    /// With these networks.
    pub fn new(resolver: Resolver, networks: Networks) -> Self {
        Self { resolver, networks }
    }

    /// Connects to a host, at the first of its addresses that takes the connection, IPv6 first.
    ///
    /// # Errors
    /// `dns`; `unauthorized` when all its addresses are closed to validations; `connection`.
    pub async fn dial(&self, host: &Host<&str>, port: u16) -> Result<Dialed, ValidationFailure> {
        let mut last = "it has no address".to_owned();
        for address in self.addresses(host, port).await? {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Dialed { stream, address }),
                Ok(Err(error)) => last = format!("{address}: {}", error.kind()),
                Err(_) => {
                    last = format!(
                        "{address}: no connection within {} seconds",
                        CONNECT_TIMEOUT.as_secs()
                    );
                }
            }
        }
        Err(failure::connection(format!(
            "could not connect to {host} on port {port}: {last}; see that it is reachable from the authority, and that no firewall is in between"
        )))
    }

    /// The addresses of a host that may be connected to.
    async fn addresses(
        &self,
        host: &Host<&str>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ValidationFailure> {
        let found: Vec<IpAddr> = match host {
            Host::Ipv4(address) => vec![(*address).into()],
            Host::Ipv6(address) => vec![(*address).into()],
            Host::Domain(name) => self.resolver.addresses(name).await?,
        };
        let mut refusal: Option<RefusedAddress> = None;
        let mut allowed: Vec<SocketAddr> = Vec::new();
        for address in found {
            match self.networks.check(address) {
                Ok(()) => allowed.push((address, port).into()),
                Err(error) => {
                    tracing::info!(%host, %address, reason = %error, "a validation was kept from an address");
                    refusal = Some(error);
                }
            }
        }
        allowed.sort_by_key(SocketAddr::is_ipv4);
        allowed.truncate(MAX_ADDRESSES);
        match refusal {
            Some(error) if allowed.is_empty() => {
                Err(failure::forbidden(format!("{host} is {error}")))
            }
            Some(_) | None => Ok(allowed),
        }
    }
}
