//! tls-alpn-01 (RFC 8737; RFC 8738 for addresses): a TLS handshake for the protocol `acme-tls/1`, which a challenge
//! certificate answers. Nothing is sent over the connection.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::ServerName;
use url::Host;

use super::{
    Validator, challenge_certificate,
    dialer::Dialed,
    failure::{forbidden, incorrect, tls, unfit},
};
use crate::domain::{
    challenge::{ChallengeKind, ValidationFailure},
    identifier::Identifier,
};

/// The only protocol that is offered (RFC 8737 section 6.2).
pub const PROTOCOL: &[u8] = b"acme-tls/1";

impl Validator {
    pub(super) async fn tls_alpn01(
        &self,
        identifier: &Identifier,
        key_authorization: &str,
    ) -> Result<(), ValidationFailure> {
        let (host, server_name) = match identifier {
            Identifier::Dns(name) if !name.is_wildcard() => {
                (Host::Domain(name.as_str()), name.to_string())
            }
            Identifier::Ip(address @ IpAddr::V4(v4)) => (Host::Ipv4(*v4), reverse_name(*address)),
            Identifier::Ip(address @ IpAddr::V6(v6)) => (Host::Ipv6(*v6), reverse_name(*address)),
            Identifier::Dns(_)
            | Identifier::PermanentIdentifier(_)
            | Identifier::HardwareModule(_) => {
                return Err(unfit(ChallengeKind::TlsAlpn01, identifier));
            }
        };
        let sni = ServerName::try_from(server_name.clone())
            .map_err(|_| forbidden(format!("{server_name} can't be a server name of TLS")))?;
        let Dialed { stream, address } = self.dialer.dial(&host, self.tls_alpn_port).await?;
        let at = format!("{address} (asked for {server_name})");
        let stream = self.challenge_tls.connect(sni, stream).await.map_err(|error| {
            tls(format!(
                "{at}: the TLS handshake for \"acme-tls/1\" failed: {error}; TLS 1.2 or later, and a server that negotiates that protocol, are wanted"
            ))
        })?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(PROTOCOL) {
            return Err(tls(format!(
                "{at}: the server did not negotiate the protocol \"acme-tls/1\" (RFC 8737 section 3); see that its ACME client, not its web server, answers for it"
            )));
        }
        let certificate = session
            .peer_certificates()
            .and_then(|certificates| certificates.first())
            .ok_or_else(|| tls(format!("{at}: the server showed no certificate")))?;
        let digest = digest(&SHA256, key_authorization.as_bytes());
        challenge_certificate::check(certificate, identifier, digest.as_ref())
            .map_err(|fault| incorrect(format!("{at}: the certificate {fault}")))
    }
}

/// The name that a look-up of the address would ask for, without a dot at its end (RFC 8738 section 6).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for octet in address.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8738 section 6; RFC 3596 section 2.5.
    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        for (address, name) in [
            ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
            (
                "2001:db8::1",
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            ),
        ] {
            assert_eq!(reverse_name(address.parse().unwrap()), name);
        }
    }
}
