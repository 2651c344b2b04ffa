//! Incidents: opening one, closing one, and those that are open, which whoever asks when to renew is told of.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use url::Url;

use super::{Authority, AuthorityError};
use crate::{
    domain::{
        audit::Actor,
        incident::{Incident, Reach},
    },
    store::Reached,
};

/// The most incidents that are open at a time: each is compared with every certificate that is asked about.
const MOST_OPEN: usize = 100;
/// The longest time that renewals are spread over.
const LONGEST_SPREAD: Duration = Duration::from_secs(30 * 86_400);
/// The most octets of a reason, and of a URL.
const LONGEST_TEXT: usize = 2000;

/// An incident that is to be opened.
#[derive(Debug, Clone)]
pub struct OpenIncident {
    /// Which certificates are to be renewed.
    pub reach: Reach,
    /// Why, for operators.
    pub reason: String,
    /// Where people on the other side read why.
    pub explanation_url: Option<String>,
    /// Over how long the renewals are spread.
    pub within: Duration,
}

impl Authority {
    /// The incidents that are open, oldest first.
    #[must_use]
    pub fn open_incidents(&self) -> Arc<Vec<Incident>> {
        self.inner.incidents.load_full()
    }

    /// All incidents, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn incidents(&self) -> Result<Vec<Incident>, AuthorityError> {
        Ok(self.store().incidents(false).await?)
    }

    /// How many certificates are to be renewed for an incident.
    ///
    /// # Errors
    /// What the store says.
    pub async fn incident_reach(&self, reach: &Reach) -> Result<Reached, AuthorityError> {
        Ok(self.store().reached(reach.clone(), self.now()).await?)
    }

    /// Opens an incident: when the call returns, whoever asks is told to renew.
    ///
    /// # Errors
    /// `Invalid` for a reach that would include what replaces the certificates, and for texts that are too long or no URL;
    /// `Conflict` when very many are open.
    pub async fn open_incident(
        &self,
        actor: &Actor,
        open: OpenIncident,
    ) -> Result<Incident, AuthorityError> {
        let now = self.now();
        check(&open, now)?;
        let detail = json!({
            "reason": open.reason,
            "reach": open.reach,
            "within": open.within.as_secs(),
            "explanation_url": open.explanation_url,
        });
        let audit = self.audit(actor, "incident.open", "", detail);
        let incident = Incident {
            number: 0,
            reach: open.reach,
            reason: open.reason,
            explanation_url: open.explanation_url,
            within: open.within,
            opened_at: now,
            opened_by: actor.to_string(),
            closed_at: None,
        };
        self.change_incidents(move |authority| async move {
            if authority.open_incidents().len() >= MOST_OPEN {
                return Err(AuthorityError::Conflict(format!(
                    "{MOST_OPEN} incidents are open; close what is over first: portcullis incident list"
                )));
            }
            Ok(authority.store().open_incident(incident, audit).await?)
        })
        .await
    }

    /// Closes an incident: when the call returns, nobody is told to renew for it any more.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is closed already.
    pub async fn close_incident(
        &self,
        actor: &Actor,
        number: u64,
    ) -> Result<Incident, AuthorityError> {
        let audit = self.audit(actor, "incident.close", number, json!({}));
        let now = self.now();
        self.change_incidents(move |authority| async move {
            Ok(authority.store().close_incident(number, now, audit).await?)
        })
        .await
    }

    /// Makes a change, then has what is told follow, one change after the other; on its own feet, so that a caller who hangs
    /// up can't separate the two.
    async fn change_incidents<F>(
        &self,
        change: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<Incident, AuthorityError>
    where
        F: Future<Output = Result<Incident, AuthorityError>> + Send + 'static,
    {
        let authority = self.clone();
        tokio::spawn(async move {
            let _one_at_a_time = authority.inner.incident_changes.lock().await;
            let changed = change(authority.clone()).await?;
            authority.load_incidents().await?;
            Ok(changed)
        })
        .await
        .map_err(|error| AuthorityError::Internal(error.to_string()))?
    }

    pub(super) async fn load_incidents(&self) -> Result<(), AuthorityError> {
        let open = self.store().incidents(true).await?;
        self.inner.incidents.store(Arc::new(open));
        Ok(())
    }
}

fn check(open: &OpenIncident, now: crate::domain::Timestamp) -> Result<(), AuthorityError> {
    let invalid = |text: String| Err(AuthorityError::Invalid(text));
    if open.reach.issued_before > now {
        return invalid(
            "an incident is about certificates that are there already: those that replace them would else be replaced in \
             their turn"
                .to_owned(),
        );
    }
    if open.reach.serials.len() > Reach::MOST_SERIALS {
        return invalid(format!(
            "an incident names at most {} certificates by serial; say what they have in common",
            Reach::MOST_SERIALS
        ));
    }
    let plain = |text: &str| {
        !text.trim().is_empty() && text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control)
    };
    if !plain(&open.reason) {
        return invalid(format!(
            "an incident has a reason, one line of at most {LONGEST_TEXT} octets"
        ));
    }
    if open.within > LONGEST_SPREAD {
        return invalid(format!(
            "renewals are spread over at most {} days",
            LONGEST_SPREAD.as_secs() / 86_400
        ));
    }
    if let Some(text) = &open.explanation_url {
        let web = Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !web || !plain(text) {
            return invalid(format!(
                "{text:?} is no URL of a page, such as https://ca.example/incidents/1"
            ));
        }
    }
    Ok(())
}
