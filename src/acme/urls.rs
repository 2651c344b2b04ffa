//! The URLs of the server's resources: written for the client, and read back from `kid`.

use axum::http::Uri;
use portcullis_ca::serial::Serial;
use url::Url;

use crate::domain::{
    challenge::ChallengeKind,
    directory::DirectoryName,
    id::{AccountId, AuthorizationId, OrderId},
};

/// Makes URLs under the address that the server is known by, which is configured: what a client writes into `Host`
/// decides nothing.
#[derive(Clone, Debug)]
pub struct Urls {
    /// Without a slash at its end.
    base: String,
    /// What all paths of the directory begin with: `/acme`, or `/acme/NAME`.
    prefix: String,
}

impl Urls {
    /// Those of a directory under a base, as in `https://ca.example:8443`.
    #[must_use]
    pub fn new(base: &Url, directory: &DirectoryName) -> Self {
        Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            prefix: if directory.is_default() {
                "/acme".to_owned()
            } else {
                format!("/acme/{directory}")
            },
        }
    }

    /// The path of a resource, as in `/acme/new-order`.
    #[must_use]
    pub fn path(&self, resource: &str) -> String {
        format!("{}/{resource}", self.prefix)
    }

    fn url(&self, resource: impl std::fmt::Display) -> String {
        format!("{}{}/{resource}", self.base, self.prefix)
    }

    /// The URL that a request was sent to, as far as the server is concerned.
    #[must_use]
    pub fn of_request(&self, uri: &Uri) -> String {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        format!("{}{path}", self.base)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> String {
        self.url("directory")
    }

    /// newNonce.
    #[must_use]
    pub fn new_nonce(&self) -> String {
        self.url("new-nonce")
    }

    /// newAccount.
    #[must_use]
    pub fn new_account(&self) -> String {
        self.url("new-account")
    }

    /// newOrder.
    #[must_use]
    pub fn new_order(&self) -> String {
        self.url("new-order")
    }

    /// newAuthz.
    #[must_use]
    pub fn new_authorization(&self) -> String {
        self.url("new-authz")
    }

    /// keyChange.
    #[must_use]
    pub fn key_change(&self) -> String {
        self.url("key-change")
    }

    /// revokeCert.
    #[must_use]
    pub fn revoke_certificate(&self) -> String {
        self.url("revoke-cert")
    }

    /// Renewal information (RFC 9773 section 3); a slash and the certificate's identifier follow.
    #[must_use]
    pub fn renewal_info(&self) -> String {
        self.url("renewal-info")
    }

    /// The trust bundle.
    #[must_use]
    pub fn trust_bundle(&self) -> String {
        self.url("trust-bundle")
    }

    /// An account; it is its `kid`.
    #[must_use]
    pub fn account(&self, account: &AccountId) -> String {
        self.url(format_args!("account/{account}"))
    }

    /// The account that a `kid` names.
    #[must_use]
    pub fn account_of(&self, kid: &str) -> Option<AccountId> {
        let id = kid
            .strip_prefix(&self.base)?
            .strip_prefix(&self.prefix)?
            .strip_prefix("/account/")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (!id.is_empty() && id.bytes().all(plain)).then(|| AccountId::from_text(id))
    }

    /// An account's orders.
    #[must_use]
    pub fn orders(&self, account: &AccountId) -> String {
        self.url(format_args!("account/{account}/orders"))
    }

    /// A further page of an account's orders.
    #[must_use]
    pub fn orders_after(&self, account: &AccountId, cursor: &str) -> String {
        self.url(format_args!("account/{account}/orders?cursor={cursor}"))
    }

    /// An order.
    #[must_use]
    pub fn order(&self, order: &OrderId) -> String {
        self.url(format_args!("order/{order}"))
    }

    /// Where an order is finalized.
    #[must_use]
    pub fn finalize(&self, order: &OrderId) -> String {
        self.url(format_args!("order/{order}/finalize"))
    }

    /// An authorization.
    #[must_use]
    pub fn authorization(&self, authorization: &AuthorizationId) -> String {
        self.url(format_args!("authorization/{authorization}"))
    }

    /// A challenge.
    #[must_use]
    pub fn challenge(&self, authorization: &AuthorizationId, kind: ChallengeKind) -> String {
        self.url(format_args!("challenge/{authorization}/{}", kind.name()))
    }

    /// A certificate with another chain, from 1 on.
    #[must_use]
    pub fn alternate_certificate(&self, serial: &Serial, number: usize) -> String {
        self.url(format_args!("certificate/{serial}/alternate/{number}"))
    }

    /// A certificate with its chain.
    #[must_use]
    pub fn certificate(&self, serial: &Serial) -> String {
        self.url(format_args!("certificate/{serial}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_read_only_if_it_is_one_of_our_accounts() {
        let base = Url::parse("https://ca.example:8443/").unwrap();
        let urls = Urls::new(&base, &DirectoryName::default());
        let account = AccountId::from_text("Ab_-9");
        assert_eq!(
            urls.account(&account),
            "https://ca.example:8443/acme/account/Ab_-9"
        );
        assert_eq!(urls.account_of(&urls.account(&account)), Some(account));
        for kid in [
            "Ab_-9",
            "https://ca.example:8443/acme/account/",
            "https://ca.example:8443/acme/account/Ab/orders",
            "https://ca.example:8443/acme/account/Ab?x",
            "https://ca.example/acme/account/Ab",
            "https://ca.example:8443/acme/order/Ab",
        ] {
            assert_eq!(urls.account_of(kid), None, "{kid}");
        }
        let named = Urls::new(&base, &"factory".parse().unwrap());
        let account = AccountId::from_text("Ab_-9");
        assert_eq!(
            named.account(&account),
            "https://ca.example:8443/acme/factory/account/Ab_-9"
        );
        assert_eq!(named.account_of(&urls.account(&account)), None);
        assert_eq!(urls.account_of(&named.account(&account)), None);
    }
}
