//! Reconciling a database that was restored, or rolled back, with what is known elsewhere: the lists that were
//! published, and how far epochs and lists had come. It works on the store alone: no key of a CA is needed.

use portcullis_ca::{
    certificate::IssuerCertificate,
    issuer_key_id::IssuerKeyId,
    list::{ListIssuer, RevocationList},
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject},
    revocation::RevocationReason,
    serial::Serial,
};
use serde_json::json;
use x509_parser::{
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::FromDer,
    revocation_list::CertificateRevocationList,
};

use super::AuthorityError;
use crate::{
    domain::{
        Timestamp,
        audit::{Actor, AuditDraft},
        high_water::{ListLevel, WaterLevel},
        issuer::{IssuerRecord, IssuerState},
    },
    store::{FoundRevocation, ListCopy, Reconcile, Reconciled, Store},
};

/// A published list that was read, and that one of our issuers made.
#[derive(Debug, Clone)]
pub struct FoundList {
    /// Where it was found.
    pub place: String,
    /// The list.
    pub list: ListCopy,
    /// What is on it.
    pub entries: Vec<FoundRevocation>,
}

impl FoundList {
    /// Reads a list, DER or PEM, that one of `issuers` must have made. One that is overdue still tells who is revoked.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub fn read(place: &str, octets: &[u8], issuers: &[IssuerRecord]) -> Result<Self, String> {
        let der = if octets.first() == Some(&0x30) {
            octets.to_vec()
        } else {
            CertificateRevocationListDer::from_pem_slice(octets)
                .map_err(|_| "it is no revocation list".to_owned())?
                .to_vec()
        };
        let makers: Vec<ListIssuer> = issuers
            .iter()
            .filter(|issuer| !issuer.certificate.is_empty())
            .map(|issuer| {
                ListIssuer::from_certificate(&CertificateDer::from(issuer.certificate.as_slice()))
            })
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let verified =
            RevocationList::from_der_of_any(&der, &makers).map_err(|error| error.to_string())?;
        let number = u64::from_str_radix(&verified.number().to_string(), 16)
            .map_err(|_| "its number is greater than any that we give".to_owned())?;
        let seconds = |at: portcullis_ca::pki_types::UnixTime| {
            Timestamp::from_unix_seconds(i64::try_from(at.as_secs()).unwrap_or(i64::MAX))
        };
        let maker = issuers
            .iter()
            .find(|issuer| issuer.id == verified.issuer())
            .and_then(|issuer| IssuerCertificate::from_der(&issuer.certificate).ok())
            .ok_or("its issuer's certificate can't be read")?;
        let until = Timestamp::from_unix_seconds(maker.not_after());
        let (shard, entries) = contents(&der, verified.issuer(), until)?;
        Ok(Self {
            place: place.to_owned(),
            list: ListCopy {
                issuer: verified.issuer(),
                shard,
                number,
                this_update: seconds(verified.this_update()),
                next_update: seconds(verified.next_update()),
                der,
            },
            entries,
        })
    }
}

/// The shard of a list that was verified, by its distribution point, and its entries with their dates.
fn contents(
    der: &[u8],
    issuer: IssuerKeyId,
    issuer_not_after: Timestamp,
) -> Result<(u32, Vec<FoundRevocation>), String> {
    let (_, parsed) =
        CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
    let mut shard = None;
    for extension in parsed.extensions() {
        if let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension()
            && let Some(DistributionPointName::FullName(names)) = &point.distribution_point
        {
            shard = names.iter().find_map(|name| {
                if let GeneralName::URI(url) = name {
                    shard_of(url)
                } else {
                    None
                }
            });
        }
    }
    let shard = shard.ok_or("its distribution point is none of ours")?;
    let entries = parsed
        .iter_revoked_certificates()
        .map(|entry| {
            let serial = Serial::from_der_integer(entry.raw_serial())?;
            Ok(FoundRevocation {
                issuer,
                shard,
                serial,
                at: Timestamp::from_unix_seconds(entry.revocation_date.timestamp()),
                reason: entry
                    .reason_code()
                    .and_then(|(_, code)| RevocationReason::from_code(code.0))
                    .unwrap_or(RevocationReason::Unspecified),
                issuer_not_after,
            })
        })
        .collect::<Result<_, portcullis_ca::serial::InvalidSerial>>()
        .map_err(|error| error.to_string())?;
    Ok((shard, entries))
}

/// The shard in `…/crl/ISSUER/SHARD.crl`.
fn shard_of(url: &str) -> Option<u32> {
    url.rsplit('/').next()?.strip_suffix(".crl")?.parse().ok()
}

/// What is known besides the lists.
#[derive(Debug, Clone)]
pub struct Known {
    /// The high-water marks that were found, of the disk that was lost too.
    pub marks: Vec<WaterLevel>,
    /// The epochs that gates say they have seen.
    pub epochs: Vec<u64>,
    /// Somebody takes it on themselves that lists may be missing.
    pub overridden: bool,
}

/// How far numbers jump where nobody knows how far they had come.
const JUMP: u64 = 1_000_000;

/// What is missing to reconcile a database with certainty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Whose list.
    pub issuer: IssuerKeyId,
    /// Which shard.
    pub shard: u32,
    /// The number that it had at least.
    pub at_least: u64,
    /// The highest that was found.
    pub found: Option<u64>,
    /// That one is as young as anything known says, but the next one has been due since then: who has no high-water mark of
    /// the lost disk can't know whether it was published.
    pub overdue_since: Option<Timestamp>,
}

/// The lists of these issuers that were published by all that is known, and of which no copy was found that is as young.
/// A copy that is overdue counts only where a mark says that there was no younger one.
#[must_use]
pub fn missing(
    database: &WaterLevel,
    issuers: &[IssuerRecord],
    known: &Known,
    lists: &[FoundList],
    now: Timestamp,
) -> Vec<Missing> {
    // A retired one has no lists any more: whatever it issued is refused.
    let stands = |level: &&ListLevel| {
        let issuer = issuers.iter().find(|issuer| issuer.id == level.issuer);
        issuer.is_none_or(|issuer| issuer.state != IssuerState::Retired)
    };
    let mut levels: Vec<ListLevel> = Vec::new();
    for level in known
        .marks
        .iter()
        .flat_map(|mark| &mark.lists)
        .chain(&database.lists)
        .filter(stands)
    {
        let same =
            |other: &&mut ListLevel| (other.issuer, other.shard) == (level.issuer, level.shard);
        match levels.iter_mut().find(same) {
            Some(other) => other.number = other.number.max(level.number),
            None => levels.push(*level),
        }
    }
    levels
        .into_iter()
        .filter_map(|level| {
            let newest = newest(lists, level.issuer, level.shard).map(|found| &found.list);
            let found = newest.map(|list| list.number);
            let confirmed = known
                .marks
                .iter()
                .any(|mark| mark.list(&level.issuer, level.shard) == level.number);
            let overdue_since = newest
                .filter(|list| list.next_update < now && !confirmed)
                .map(|list| list.next_update);
            (found < Some(level.number) || overdue_since.is_some()).then_some(Missing {
                issuer: level.issuer,
                shard: level.shard,
                at_least: level.number,
                found,
                overdue_since,
            })
        })
        .collect()
}

fn newest(lists: &[FoundList], issuer: IssuerKeyId, shard: u32) -> Option<&FoundList> {
    lists
        .iter()
        .filter(|found| (found.list.issuer, found.list.shard) == (issuer, shard))
        .max_by_key(|found| found.list.number)
}

/// Takes over every revocation of the lists that the store lacks, raises list numbers and the epoch above the highest
/// that anybody has seen, and writes all of it into the audit trail.
///
/// # Errors
/// `Conflict` when lists are missing and nobody took that on themselves; what the store says.
pub async fn reconcile(
    store: &dyn Store,
    actor: Actor,
    lists: Vec<FoundList>,
    known: &Known,
    now: Timestamp,
) -> Result<Reconciled, AuthorityError> {
    let database = store.water_level().await?;
    let issuers = store.issuers().await?;
    let missing = missing(&database, &issuers, known, &lists, now);
    if !missing.is_empty() && !known.overridden {
        return Err(AuthorityError::Conflict(
            "not every list that was published was found".to_owned(),
        ));
    }
    let seen = known
        .marks
        .iter()
        .map(|mark| mark.epoch)
        .chain(known.epochs.iter().copied())
        .max();
    let epoch = match seen.filter(|_| !known.overridden) {
        Some(seen) => seen.max(database.epoch) + 1,
        None => seen.unwrap_or(0).max(database.epoch).saturating_add(JUMP),
    };
    let mut newest_lists = Vec::new();
    for found in &lists {
        let (issuer, shard) = (found.list.issuer, found.list.shard);
        if newest(&lists, issuer, shard).is_some_and(|newest| std::ptr::eq(newest, found))
            && found.list.number >= database.list(&issuer, shard)
        {
            newest_lists.push(found.list.clone());
        }
    }
    // Of what was not found nobody knows how far it had come.
    let raised: Vec<ListLevel> = missing
        .iter()
        .map(|missing| ListLevel {
            issuer: missing.issuer,
            shard: missing.shard,
            number: missing
                .at_least
                .max(missing.found.unwrap_or(0))
                .saturating_add(JUMP),
        })
        .collect();
    let places: Vec<&str> = lists.iter().map(|found| found.place.as_str()).collect();
    let lost: Vec<String> = missing
        .iter()
        .map(|missing| format!("{}/{}", missing.issuer.short(), missing.shard))
        .collect();
    let audit = AuditDraft {
        at: now,
        actor,
        action: if known.overridden {
            "restore.override"
        } else {
            "restore.reconcile"
        },
        subject: "store".to_owned(),
        detail: json!({
            "lists": places, "lists_missing": lost, "epoch": epoch,
            "audit_entries_lost": known.marks.iter().map(|mark| mark.audit_number).max()
                .map(|seen| seen.saturating_sub(database.audit_number)),
        }),
    };
    let command = Reconcile {
        revocations: lists.into_iter().flat_map(|found| found.entries).collect(),
        lists: newest_lists,
        raised,
        epoch,
        at: now,
    };
    Ok(store.reconcile(command, audit).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: IssuerKeyId = IssuerKeyId([1; 32]);

    fn level(number: u64) -> WaterLevel {
        WaterLevel {
            epoch: 1,
            audit_number: 1,
            audit_hash: [0; 32],
            checkpoint: 0,
            lists: vec![ListLevel {
                issuer: ISSUER,
                shard: 0,
                number,
            }],
        }
    }

    fn copy(number: u64) -> FoundList {
        FoundList {
            place: "a mirror".to_owned(),
            list: ListCopy {
                issuer: ISSUER,
                shard: 0,
                number,
                this_update: Timestamp::from_unix_seconds(100),
                next_update: Timestamp::from_unix_seconds(200),
                der: Vec::new(),
            },
            entries: Vec::new(),
        }
    }

    #[test]
    fn a_copy_that_is_too_old_by_anything_known_is_as_good_as_none() {
        // The database's number, the mark's, the copy's, the time; and what is missing.
        type Case = (u64, Option<u64>, Option<u64>, i64, bool);
        let table: [Case; 8] = [
            (5, None, Some(5), 150, false),
            (5, None, Some(9), 150, false),
            (5, None, Some(4), 150, true),
            (5, None, None, 150, true),
            (5, Some(7), Some(6), 150, true),
            (5, Some(7), Some(7), 150, false),
            // Overdue: only a mark can say that it was the last.
            (5, None, Some(9), 250, true),
            (5, Some(9), Some(9), 250, false),
        ];
        for (database, mark, found, now, is_missing) in table {
            let known = Known {
                marks: mark.map(level).into_iter().collect(),
                epochs: Vec::new(),
                overridden: false,
            };
            let lists: Vec<FoundList> = found.map(copy).into_iter().collect();
            let now = Timestamp::from_unix_seconds(now);
            let missing = missing(&level(database), &[], &known, &lists, now);
            assert_eq!(
                missing.len(),
                usize::from(is_missing),
                "{database} {mark:?} {found:?}: {missing:?}"
            );
        }
    }

    #[test]
    fn a_shard_is_read_from_the_distribution_point() {
        for (url, shard) in [
            ("http://ca.example/crl/0a0b/7.crl", Some(7)),
            ("http://ca.example/crl/0a0b/7.pem", None),
            ("http://ca.example/root.crl", None),
        ] {
            assert_eq!(shard_of(url), shard, "{url}");
        }
    }
}
