//! The ACME directory (RFC 8555 section 7.1.1), as far as the agent reads it itself.

use http::Method;
use serde::Deserialize;

use super::{
    account::StoredAccount,
    error::{AgentError, Step},
    signed_request::{read_problem, request},
    transport::Transport,
};

/// Where things are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// newNonce.
    pub new_nonce: String,
    /// newAccount.
    pub new_account: String,
    /// Where to ask when a certificate is to be renewed (RFC 9773 section 3).
    pub renewal_info: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    trust_bundle: Option<String>,
}

impl Directory {
    /// Fetches the directory of an account's server.
    ///
    /// # Errors
    /// The server can't be reached, isn't trusted, or shows something else.
    pub async fn fetch(transport: &Transport, account: &StoredAccount) -> Result<Self, AgentError> {
        let step = Step::Directory;
        let answer = transport
            .send(request(step, Method::GET, &account.directory, None)?)
            .await?;
        if !answer.status().is_success() {
            let problem = read_problem(step, &answer)?;
            return Err(AgentError::from_problem(step, &problem, account));
        }
        serde_json::from_slice(answer.body()).map_err(|error| AgentError::Protocol {
            step,
            detail: format!("{} holds no ACME directory: {error}", account.directory),
        })
    }

    /// Where the server hands out its trust bundle, if it does.
    #[must_use]
    pub fn trust_bundle(&self) -> Option<&str> {
        self.meta.trust_bundle.as_deref()
    }
}
