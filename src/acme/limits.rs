//! `[acme.limits]` as read, and the first limit, which every request meets before anything of it is read.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::Extensions;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{problem::Problem, state::AcmeState};
use crate::{
    domain::{
        rate::{Rate, WrittenRate},
        rate_limit::{Limit, Networks, RateLimits},
    },
    listen::Peer,
};

/// `[acme.limits]` as read. A rate is written `60/1h`; every limit can be `off`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests of any kind from one network.
    pub requests_per_network: WrittenRate,
    /// New accounts without an enrolment key from one network.
    pub accounts_per_network: WrittenRate,
    /// New accounts by one enrolment key.
    pub accounts_per_enrolment_key: WrittenRate,
    /// New orders of one account.
    pub orders_per_account: WrittenRate,
    /// Authorizations of one account that may be pending at a time.
    pub pending_authorizations: WrittenCount,
    /// Certificates for exactly the same identifiers.
    pub certificates_per_identifiers: WrittenRate,
    /// Certificates of the accounts of one enrolment key.
    pub certificates_per_enrolment_key: WrittenRate,
    /// Failed validations of one identifier in one account.
    pub failed_validations: WrittenRate,
    /// So many leading bits of an IPv4 address are its network.
    pub ipv4_prefix: u8,
    /// So many leading bits of an IPv6 address are its network.
    pub ipv6_prefix: u8,
    /// Networks whose requests and accounts are not counted: proxies in front of this server, and this machine.
    pub exempt_networks: Vec<String>,
}

/// A number as people write it, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenCount(pub Option<u32>);

impl<'de> Deserialize<'de> for WrittenCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(u32),
            Word(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Count(count)) if count > 0 => Ok(Self(Some(count))),
            Ok(Written::Word(word)) if word == "off" => Ok(Self(None)),
            Ok(Written::Count(_) | Written::Word(_)) | Err(_) => Err(D::Error::custom(
                "write how many there may be at a time, 1 or more, or \"off\"",
            )),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let rate = |text: &str| -> WrittenRate {
            text.parse()
                .expect("the defaults are rates, as a test sees")
        };
        Self {
            requests_per_network: rate("30000/1m"),
            accounts_per_network: rate("500/1h"),
            accounts_per_enrolment_key: rate("10000/1h"),
            orders_per_account: rate("2000/1h"),
            pending_authorizations: WrittenCount(Some(1000)),
            certificates_per_identifiers: rate("60/1h"),
            certificates_per_enrolment_key: rate("20000/1h"),
            failed_validations: rate("20/1h"),
            ipv4_prefix: 32,
            ipv6_prefix: 48,
            exempt_networks: ["127.0.0.0/8", "::1/128"].map(str::to_owned).to_vec(),
        }
    }
}

impl LimitsConfig {
    /// No limit at all.
    #[must_use]
    pub fn off() -> Self {
        let off = WrittenRate(None);
        Self {
            requests_per_network: off,
            accounts_per_network: off,
            accounts_per_enrolment_key: off,
            orders_per_account: off,
            pending_authorizations: WrittenCount(None),
            certificates_per_identifiers: off,
            certificates_per_enrolment_key: off,
            failed_validations: off,
            ..Self::default()
        }
    }

    /// How a limit is written.
    #[must_use]
    pub fn written(&self, limit: Limit) -> String {
        let WrittenRate(rate) = match limit {
            Limit::RequestsPerNetwork => self.requests_per_network,
            Limit::AccountsPerNetwork => self.accounts_per_network,
            Limit::AccountsPerEnrolmentKey => self.accounts_per_enrolment_key,
            Limit::OrdersPerAccount => self.orders_per_account,
            Limit::PendingAuthorizations => {
                let WrittenCount(count) = self.pending_authorizations;
                return count.map_or_else(|| "off".to_owned(), |count| count.to_string());
            }
            Limit::CertificatesPerIdentifiers => self.certificates_per_identifiers,
            Limit::CertificatesPerEnrolmentKey => self.certificates_per_enrolment_key,
            Limit::FailedValidations => self.failed_validations,
        };
        WrittenRate(rate).to_string()
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The key below `[acme.limits]`, its value, and what would be right.
    pub(super) fn check(&self) -> Result<RateLimits, (&'static str, String, &'static str)> {
        let prefix = |key, value: u8, most: u8, reason| {
            if (1..=most).contains(&value) {
                Ok(value)
            } else {
                Err((key, value.to_string(), reason))
            }
        };
        let rate = |WrittenRate(rate): WrittenRate| -> Option<Rate> { rate };
        Ok(RateLimits {
            requests_per_network: rate(self.requests_per_network),
            accounts_per_network: rate(self.accounts_per_network),
            accounts_per_enrolment_key: rate(self.accounts_per_enrolment_key),
            orders_per_account: rate(self.orders_per_account),
            pending_authorizations: self.pending_authorizations.0,
            certificates_per_identifiers: rate(self.certificates_per_identifiers),
            certificates_per_enrolment_key: rate(self.certificates_per_enrolment_key),
            failed_validations: rate(self.failed_validations),
            networks: Networks {
                ipv4_prefix: prefix("ipv4_prefix", self.ipv4_prefix, 32, "it must be 1 to 32")?,
                ipv6_prefix: prefix("ipv6_prefix", self.ipv6_prefix, 128, "it must be 1 to 128")?,
                exempt: self
                    .exempt_networks
                    .iter()
                    .map(|text| {
                        let address = || text.parse::<IpAddr>().map(IpNet::from);
                        text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
                            (
                                "exempt_networks",
                                format!("{text:?}"),
                                "a network is an address and a prefix length, as in \"10.1.0.0/16\"",
                            )
                        })
                    })
                    .collect::<Result<_, _>>()?,
            },
        })
    }
}

/// Where a request came from, as `listen` knows it.
pub(super) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<Peer>()?;
    Some(peer.address.ip().to_canonical())
}

/// Refuses requests from a network that sends too many, before anything of them is read.
pub(super) async fn admit(
    State(state): State<Arc<AcmeState>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(from) = client_address(request.extensions())
        && let Err(error) = state
            .authority
            .admit_request(&state.settings.rules.name, from)
    {
        return Problem::from(error).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_default_and_can_be_switched_off() {
        for limit in Limit::ALL {
            assert_ne!(LimitsConfig::default().written(limit), "off");
            let written: LimitsConfig = toml::from_str(&format!("{} = \"off\"", limit.name()))
                .unwrap_or_else(|error| panic!("{}: {error}", limit.name()));
            assert_eq!(written.written(limit), "off");
        }
        let off = LimitsConfig::off().check().expect("no limit");
        assert!(
            Limit::ALL
                .into_iter()
                .all(|limit| off.rate(limit).is_none())
        );
        assert_eq!(off.pending_authorizations, None);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_would_be_right() {
        for (text, words) in [
            (
                "orders_per_account = \"many\"",
                "as in \"60/1h\", or \"off\"",
            ),
            (
                "orders_per_account = \"0/1h\"",
                "as in \"60/1h\", or \"off\"",
            ),
            ("pending_authorizations = 0", "1 or more, or \"off\""),
            ("pending_authorizations = \"on\"", "1 or more, or \"off\""),
            ("order_per_account = \"off\"", "unknown field"),
        ] {
            let error = toml::from_str::<LimitsConfig>(text).expect_err(text);
            assert!(error.to_string().contains(words), "{error}");
        }
        for (text, key) in [
            ("ipv4_prefix = 33", "ipv4_prefix"),
            ("ipv6_prefix = 0", "ipv6_prefix"),
            ("exempt_networks = [\"proxy\"]", "exempt_networks"),
        ] {
            let config: LimitsConfig = toml::from_str(text).expect(text);
            assert_eq!(config.check().expect_err(text).0, key);
        }
    }
}
