//! The terms of service (RFC 8555 section 7.3.3): agreed to when an account is opened, and, where the operator asks for
//! it, again when they have changed.

use axum::http::{HeaderValue, header};
use url::Url;

use super::{
    config::Agreement,
    problem::{Problem, ProblemType},
    state::AcmeState,
};
use crate::domain::account::Account;

/// Whether the account that is to be opened agrees to the terms, if there are any. The answer is what it agreed to.
///
/// # Errors
/// `userActionRequired`.
pub(super) fn agreed_to(state: &AcmeState, agreed: bool) -> Result<Option<String>, Problem> {
    let terms = state.settings.terms_of_service.as_ref();
    match terms {
        Some(terms) if !agreed => Err(action_required(
            terms,
            format!(
                "the terms of service at {terms} must be agreed to; set \"termsOfServiceAgreed\" to true"
            ),
        )),
        Some(_) | None => Ok(terms.map(ToString::to_string)),
    }
}

/// Whether an account has agreed to the terms as they are now, where that is asked for.
///
/// # Errors
/// `userActionRequired`, with the page to be read.
pub(super) fn check_agreed(state: &AcmeState, account: &Account) -> Result<(), Problem> {
    match (&state.settings.terms_of_service, state.settings.agreement) {
        (Some(terms), Agreement::Current)
            if account.terms_of_service.as_deref() != Some(terms.as_str()) =>
        {
            Err(action_required(
                terms,
                format!(
                    "the terms of service have changed; read them at {terms}, and agree by an update of the account with \"termsOfServiceAgreed\" set to true (RFC 8555 section 7.3.3)"
                ),
            ))
        }
        (Some(_) | None, Agreement::Once | Agreement::Current) => Ok(()),
    }
}

fn action_required(terms: &Url, detail: String) -> Problem {
    let problem =
        Problem::new(ProblemType::UserActionRequired, detail).with_instance(terms.clone());
    match HeaderValue::try_from(format!("<{terms}>;rel=\"terms-of-service\"")) {
        Ok(link) => problem.with_field(header::LINK, link),
        Err(_) => problem,
    }
}
