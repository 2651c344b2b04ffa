//! Looking names up: as they are, without a cache, a hosts file or search domains. DNSSEC isn't verified here; a
//! resolver that does it answers SERVFAIL for what is bogus.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{op::ResponseCode, rr::RData},
};

use super::failure;
use crate::domain::challenge::ValidationFailure;

/// How long one question to one resolver may take; each is asked twice.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// The configured resolvers, or the system's.
#[derive(Clone)]
pub struct Resolver(TokioResolver);

impl Resolver {
    /// Asks these servers; if there are none, the system's.
    ///
    /// # Errors
    /// When the system's configuration can't be read.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = servers.iter().map(|address| {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut server.connections {
                    connection.port = address.port();
                }
                server
            });
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(servers.collect()),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        // A validation wants what is true now, and what the network says rather than this machine's files.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = QUESTION_TIMEOUT;
        options.attempts = 2;
        Ok(Self(builder.build()?))
    }

    /// All addresses of a name, CNAMEs followed.
    ///
    /// # Errors
    /// `dns`, with what the resolver said.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, ValidationFailure> {
        let found = self.0.lookup_ip(absolute(name)).await;
        let found = found.map_err(|error| unresolved("A or AAAA", name, &error))?;
        Ok(found.iter().collect())
    }

    /// All TXT records of a name, CNAMEs followed; the strings of each are joined.
    ///
    /// # Errors
    /// `dns`, with what the resolver said.
    pub async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, ValidationFailure> {
        let found = self.0.txt_lookup(absolute(name)).await;
        let found = found.map_err(|error| unresolved("TXT", name, &error))?;
        Ok(found
            .answers()
            .iter()
            .filter_map(|record| {
                if let RData::TXT(text) = &record.data {
                    Some(text.txt_data.concat())
                } else {
                    None
                }
            })
            .collect())
    }
}

/// With the dot at its end, a name is looked up as it is and no search domain is added.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn unresolved(record: &str, name: &str, error: &NetError) -> ValidationFailure {
    let reason = if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        if none.response_code == ResponseCode::NXDomain {
            format!("there is no such name (NXDOMAIN); publish the {record} record first")
        } else {
            format!("the name has no {record} record; publish one first")
        }
    } else if let NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) = error {
        "the resolver answered SERVFAIL: the name's own servers can't be reached, or its DNSSEC is broken".to_owned()
    } else if let NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) = error {
        "the resolver answered REFUSED: it does not answer for this name".to_owned()
    } else if let NetError::Timeout = error {
        "the resolver did not answer in time".to_owned()
    } else {
        tracing::info!(name, record, %error, "a name could not be resolved");
        "the look-up failed".to_owned()
    };
    failure::dns(format!("looked for {record} records of {name}: {reason}"))
}
