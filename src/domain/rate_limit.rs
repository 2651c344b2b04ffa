//! What the clients of a directory may use up, and how a client hears that it has: pure.
//!
//! To add one more limit: a variant of [`Limit`], a field of [`RateLimits`], the place in `authority` that asks, and the
//! row of the table in `docs/acme.md`.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{Timestamp, duration::WrittenDuration, identifier::Identifier, rate::Rate};

/// What is limited. Its name is the key in the configuration, and the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests of any kind, from one network. It is looked at before anything is read.
    RequestsPerNetwork,
    /// New accounts without an enrolment key, from one network.
    AccountsPerNetwork,
    /// New accounts by one enrolment key.
    AccountsPerEnrolmentKey,
    /// New orders of one account.
    OrdersPerAccount,
    /// Authorizations of one account that are pending at the same time.
    PendingAuthorizations,
    /// Certificates for exactly the same identifiers.
    CertificatesPerIdentifiers,
    /// Certificates of the accounts of one enrolment key.
    CertificatesPerEnrolmentKey,
    /// Validations of one identifier that failed for one account.
    FailedValidations,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 8] = [
        Self::RequestsPerNetwork,
        Self::AccountsPerNetwork,
        Self::AccountsPerEnrolmentKey,
        Self::OrdersPerAccount,
        Self::PendingAuthorizations,
        Self::CertificatesPerIdentifiers,
        Self::CertificatesPerEnrolmentKey,
        Self::FailedValidations,
    ];

    /// The key in `[acme.limits]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerNetwork => "requests_per_network",
            Self::AccountsPerNetwork => "accounts_per_network",
            Self::AccountsPerEnrolmentKey => "accounts_per_enrolment_key",
            Self::OrdersPerAccount => "orders_per_account",
            Self::PendingAuthorizations => "pending_authorizations",
            Self::CertificatesPerIdentifiers => "certificates_per_identifiers",
            Self::CertificatesPerEnrolmentKey => "certificates_per_enrolment_key",
            Self::FailedValidations => "failed_validations",
        }
    }

    /// What there was too much of, and what whoever met the limit can do.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestsPerNetwork => (
                "requests",
                "ask less often, or spread the requests over time",
            ),
            Self::AccountsPerNetwork => (
                "new accounts",
                "use one account for many orders, or enrol with an invitation, which has a limit of its own",
            ),
            Self::AccountsPerEnrolmentKey => {
                ("new accounts", "use one account for many certificates")
            }
            Self::OrdersPerAccount => (
                "new orders",
                "put several identifiers into one order, and name the certificate that is replaced (\"replaces\", RFC 9773): renewals in their window do not count",
            ),
            Self::PendingAuthorizations => (
                "pending authorizations",
                "finish the orders that are under way, or deactivate their authorizations",
            ),
            Self::CertificatesPerIdentifiers => (
                "certificates",
                "keep the certificate that was issued until its renewal is due, and name it when it is replaced (\"replaces\", RFC 9773): renewals in their window do not count",
            ),
            Self::CertificatesPerEnrolmentKey => (
                "certificates",
                "name the certificate that is replaced (\"replaces\", RFC 9773): renewals in their window do not count",
            ),
            Self::FailedValidations => (
                "failed validations",
                "mend what the failed challenge says before it is tried again",
            ),
        }
    }
}

/// The limits of one directory, checked. [`Default`] is none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// [`Limit::RequestsPerNetwork`].
    pub requests_per_network: Option<Rate>,
    /// [`Limit::AccountsPerNetwork`].
    pub accounts_per_network: Option<Rate>,
    /// [`Limit::AccountsPerEnrolmentKey`].
    pub accounts_per_enrolment_key: Option<Rate>,
    /// [`Limit::OrdersPerAccount`].
    pub orders_per_account: Option<Rate>,
    /// [`Limit::PendingAuthorizations`]: a number, not a rate.
    pub pending_authorizations: Option<u32>,
    /// [`Limit::CertificatesPerIdentifiers`].
    pub certificates_per_identifiers: Option<Rate>,
    /// [`Limit::CertificatesPerEnrolmentKey`].
    pub certificates_per_enrolment_key: Option<Rate>,
    /// [`Limit::FailedValidations`].
    pub failed_validations: Option<Rate>,
    /// What a network is.
    pub networks: Networks,
}

/// What counts as one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    /// So many leading bits of an IPv4 address.
    pub ipv4_prefix: u8,
    /// So many leading bits of an IPv6 address.
    pub ipv6_prefix: u8,
    /// Networks whose requests and accounts are not counted: proxies in front of this server.
    pub exempt: Vec<IpNet>,
}

impl Default for Networks {
    fn default() -> Self {
        Self {
            ipv4_prefix: 32,
            ipv6_prefix: 48,
            exempt: Vec::new(),
        }
    }
}

impl Networks {
    /// The network of an address; nothing for one that is not counted. An IPv4 address that is written as IPv6 is the
    /// IPv4 address (RFC 4291 section 2.5.5.2), or it would have two networks.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<IpNet> {
        let address = address.to_canonical();
        if self.exempt.iter().any(|net| net.contains(&address)) {
            return None;
        }
        let prefix = match address {
            IpAddr::V4(_) => self.ipv4_prefix,
            IpAddr::V6(_) => self.ipv6_prefix,
        };
        IpNet::new(address, prefix).ok().map(|net| net.trunc())
    }
}

impl RateLimits {
    /// The rate of a limit, if it is one and not off.
    #[must_use]
    pub const fn rate(&self, limit: Limit) -> Option<Rate> {
        match limit {
            Limit::RequestsPerNetwork => self.requests_per_network,
            Limit::AccountsPerNetwork => self.accounts_per_network,
            Limit::AccountsPerEnrolmentKey => self.accounts_per_enrolment_key,
            Limit::OrdersPerAccount => self.orders_per_account,
            Limit::PendingAuthorizations => None,
            Limit::CertificatesPerIdentifiers => self.certificates_per_identifiers,
            Limit::CertificatesPerEnrolmentKey => self.certificates_per_enrolment_key,
            Limit::FailedValidations => self.failed_validations,
        }
    }
}

/// A limit was reached: nothing was done (RFC 8555 section 6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitReached {
    /// Which.
    pub limit: Limit,
    /// How much is allowed, as in `60 in 1h`.
    pub allowed: String,
    /// To whom, as in `this account`.
    pub subject: String,
    /// How long to wait, in whole seconds: then it is possible again.
    pub retry_after: Duration,
    /// When that is.
    pub possible_at: Timestamp,
    /// Which identifiers it is about; none when it is about no identifier.
    pub identifiers: Vec<Identifier>,
}

impl LimitReached {
    /// A rate was used up at `now`, for `wait` more.
    #[must_use]
    pub fn of_rate(
        limit: Limit,
        rate: Rate,
        subject: impl Into<String>,
        wait: Duration,
        now: Timestamp,
    ) -> Self {
        let allowed = format!("{} in {}", rate.count(), WrittenDuration(rate.period()));
        Self::new(limit, allowed, subject.into(), wait, now)
    }

    /// A number was reached at `now`. Nobody knows when it falls; whoever does as it is told can go on at once.
    #[must_use]
    pub fn of_count(limit: Limit, most: u32, subject: impl Into<String>, now: Timestamp) -> Self {
        const LOOK_AGAIN: Duration = Duration::from_secs(60);
        let allowed = format!("{most} at a time");
        Self::new(limit, allowed, subject.into(), LOOK_AGAIN, now)
    }

    fn new(limit: Limit, allowed: String, subject: String, wait: Duration, now: Timestamp) -> Self {
        let retry_after = Duration::from_secs(wait.as_millis().div_ceil(1000).max(1) as u64);
        Self {
            limit,
            allowed,
            subject,
            retry_after,
            possible_at: (now + retry_after).whole_seconds(),
            identifiers: Vec::new(),
        }
    }

    /// The same, about these identifiers.
    #[must_use]
    pub fn about(mut self, identifiers: &[Identifier]) -> Self {
        self.identifiers = identifiers.to_vec();
        self
    }
}

impl std::fmt::Display for LimitReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, advice) = self.limit.words();
        write!(
            f,
            "too many {what}: {} may have {} (limit {}). Try again after {} seconds, at {}; {advice}",
            self.subject,
            self.allowed,
            self.limit.name(),
            self.retry_after.as_secs(),
            self.possible_at
        )
    }
}

impl std::error::Error for LimitReached {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_its_network_and_a_mapped_one_to_that_of_the_ipv4_address() {
        let networks = Networks {
            ipv4_prefix: 24,
            exempt: vec!["10.0.0.0/8".parse().expect("a network")],
            ..Networks::default()
        };
        for (address, network) in [
            ("203.0.113.7", Some("203.0.113.0/24")),
            ("::ffff:203.0.113.7", Some("203.0.113.0/24")),
            ("2001:db8:1:2::1", Some("2001:db8:1::/48")),
            ("2001:db8:1:ffff::1", Some("2001:db8:1::/48")),
            ("10.1.2.3", None),
            ("::ffff:10.1.2.3", None),
        ] {
            let found = networks.of(address.parse().expect("an address"));
            assert_eq!(
                found.map(|net| net.to_string()).as_deref(),
                network,
                "{address}"
            );
        }
    }

    #[test]
    fn who_meets_a_limit_hears_which_how_much_until_when_and_what_to_do() {
        let reached = LimitReached::of_rate(
            Limit::AccountsPerNetwork,
            "500/1h".parse().expect("a rate"),
            "the network 203.0.113.7/32",
            Duration::from_millis(7_001),
            Timestamp::from_unix_seconds(1_800_000_000),
        );
        assert_eq!(
            reached.to_string(),
            "too many new accounts: the network 203.0.113.7/32 may have 500 in 1h (limit accounts_per_network). Try \
             again after 8 seconds, at 2027-01-15T08:00:08Z; use one account for many orders, or enrol with an \
             invitation, which has a limit of its own"
        );
    }
}
