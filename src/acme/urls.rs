//! The URLs of the server's resources: written for the client, and read back from `kid`.

use axum::http::Uri;
use portcullis_ca::serial::Serial;
use url::Url;

use crate::domain::{
    challenge::ChallengeKind,
    id::{AccountId, AuthorizationId, OrderId},
};

/// Makes URLs under the address that the server is known by, which is configured: what a client writes into `Host`
/// decides nothing.
#[derive(Clone, Debug)]
pub struct Urls {
    /// Without a slash at its end.
    base: String,
}

impl Urls {
    /// Under a base, as in `https://ca.example:8443`.
    #[must_use]
    pub fn new(base: &Url) -> Self {
        Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
        }
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
        format!("{}/acme/directory", self.base)
    }

    /// newNonce.
    #[must_use]
    pub fn new_nonce(&self) -> String {
        format!("{}/acme/new-nonce", self.base)
    }

    /// newAccount.
    #[must_use]
    pub fn new_account(&self) -> String {
        format!("{}/acme/new-account", self.base)
    }

    /// newOrder.
    #[must_use]
    pub fn new_order(&self) -> String {
        format!("{}/acme/new-order", self.base)
    }

    /// revokeCert.
    #[must_use]
    pub fn revoke_certificate(&self) -> String {
        format!("{}/acme/revoke-cert", self.base)
    }

    /// The trust bundle.
    #[must_use]
    pub fn trust_bundle(&self) -> String {
        format!("{}/acme/trust-bundle", self.base)
    }

    /// An account; it is its `kid`.
    #[must_use]
    pub fn account(&self, account: &AccountId) -> String {
        format!("{}/acme/account/{account}", self.base)
    }

    /// The account that a `kid` names.
    #[must_use]
    pub fn account_of(&self, kid: &str) -> Option<AccountId> {
        let id = kid
            .strip_prefix(&self.base)?
            .strip_prefix("/acme/account/")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (!id.is_empty() && id.bytes().all(plain)).then(|| AccountId::from_text(id))
    }

    /// An account's orders.
    #[must_use]
    pub fn orders(&self, account: &AccountId) -> String {
        format!("{}/acme/account/{account}/orders", self.base)
    }

    /// An order.
    #[must_use]
    pub fn order(&self, order: &OrderId) -> String {
        format!("{}/acme/order/{order}", self.base)
    }

    /// Where an order is finalized.
    #[must_use]
    pub fn finalize(&self, order: &OrderId) -> String {
        format!("{}/acme/order/{order}/finalize", self.base)
    }

    /// An authorization.
    #[must_use]
    pub fn authorization(&self, authorization: &AuthorizationId) -> String {
        format!("{}/acme/authorization/{authorization}", self.base)
    }

    /// A challenge.
    #[must_use]
    pub fn challenge(&self, authorization: &AuthorizationId, kind: ChallengeKind) -> String {
        format!(
            "{}/acme/challenge/{authorization}/{}",
            self.base,
            kind.name()
        )
    }

    /// A certificate with its chain.
    #[must_use]
    pub fn certificate(&self, serial: &Serial) -> String {
        format!("{}/acme/certificate/{serial}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_read_only_if_it_is_one_of_our_accounts() {
        let urls = Urls::new(&Url::parse("https://ca.example:8443/").unwrap());
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
    }
}
