//! Taking a root's key away after the ceremony: first a list that outlasts the next ceremony, then the sealed key, then
//! it is removed here. The authority works on without it.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    authority::{Authority, AuthorityError, Issuer, IssuerSet},
    domain::{
        Timestamp,
        audit::Actor,
        issuer::{IssuerRecord, KeyPlace},
    },
};

/// A root's key as it is handed out; it is still here as well.
pub struct ExportedRoot {
    /// PKCS#8 in PEM, sealed.
    pub key: Zeroizing<String>,
    /// Until when the root's list is good.
    pub list_until: Timestamp,
}

impl Authority {
    /// Signs a list of the root that lasts until the next ceremony, and hands the key out, sealed with `passphrase`. The
    /// key stays until [`Authority::remove_root_key`] is called, once it is safe elsewhere.
    ///
    /// # Errors
    /// `Invalid` for what is no root, `KeyOffline` when the key is not here.
    pub async fn export_root_key(
        &self,
        actor: &Actor,
        name: &str,
        passphrase: &[u8],
        next_ceremony: Duration,
    ) -> Result<ExportedRoot, AuthorityError> {
        let issuers = self.issuers();
        let root = root_with_key(&issuers, name)?;
        // First, for a token gives none away, and then nothing should have happened.
        let key = self
            .inner
            .parts
            .ca_keys
            .export(&root.record.key, passphrase)
            .await?;
        let list_until = self.publish_long_list(actor, root, next_ceremony).await?;
        // Nothing of the record changes; that the key went out is written down.
        let audit = self.audit(
            actor,
            "issuer.export-key",
            root.name(),
            json!({ "id": root.id().to_string(), "list_until": list_until }),
        );
        self.change_issuers(&issuers, vec![root.record.clone()], Vec::new(), audit)
            .await?;
        Ok(ExportedRoot { key, list_until })
    }

    /// Removes a root's key from here, for good. Its list lasts until the next ceremony.
    ///
    /// # Errors
    /// `Invalid` for what is no root, `KeyOffline` when the key is not here.
    pub async fn remove_root_key(
        &self,
        actor: &Actor,
        name: &str,
        next_ceremony: Duration,
    ) -> Result<IssuerRecord, AuthorityError> {
        let issuers = self.issuers();
        let root = root_with_key(&issuers, name)?;
        // A revocation since the export may have brought a list of the usual life.
        self.publish_long_list(actor, root, next_ceremony).await?;
        let place = root.record.key.clone();
        let record = IssuerRecord {
            key: KeyPlace::Offline,
            ..root.record.clone()
        };
        let audit = self.audit(
            actor,
            "issuer.remove-key",
            &record.name,
            json!({ "id": record.id.to_string(), "was": place }),
        );
        self.change_issuers(&issuers, vec![record.clone()], Vec::new(), audit)
            .await?;
        self.inner.parts.ca_keys.remove(&place).await?;
        Ok(record)
    }

    async fn publish_long_list(
        &self,
        actor: &Actor,
        root: &Arc<Issuer>,
        next_ceremony: Duration,
    ) -> Result<Timestamp, AuthorityError> {
        let usual = self.inner.parts.list_schedule.life;
        if next_ceremony < usual {
            return Err(AuthorityError::Invalid(format!(
                "the next ceremony is in {} s, sooner than a list ends by itself ({} s); say when the key will be at hand \
                 again: --next-ceremony 400d",
                next_ceremony.as_secs(),
                usual.as_secs()
            )));
        }
        let end = Timestamp::from_unix_seconds(root.certificate.not_after());
        let until = (self.now() + next_ceremony).min(end);
        let (draft, _) = self.list_draft_for(root, 0, until).await?;
        let der = draft
            .check(&root.certificate)?
            .sign(&**root.signer()?)
            .await?;
        let list = self.accept_signed_list(actor, root, 0, &der).await?;
        Ok(list.next_update)
    }
}

fn root_with_key<'a>(
    issuers: &'a IssuerSet,
    name: &str,
) -> Result<&'a Arc<Issuer>, AuthorityError> {
    let root = issuers.named(name)?;
    if !root.record.is_root() {
        return Err(AuthorityError::Invalid(format!(
            "{name} is an intermediate, which signs every day; only a root's key can be taken away"
        )));
    }
    root.signer()?;
    Ok(root)
}
