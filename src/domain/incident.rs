//! An incident: why certificates are to be renewed before their time, as when an issuer's key or a profile turned out to be
//! wrong. An operator opens it and closes it; while it is open, whoever asks about a certificate that it reaches is told to
//! renew (RFC 9773 section 4.2).

use std::time::Duration;

use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};
use serde::{Deserialize, Serialize};

use super::{
    Timestamp, certificate::CertificateRecord, principal::PrincipalPattern, profile::ProfileName,
    text::as_text,
};

/// An incident as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What it is called: 1, 2, 3, …
    pub number: u64,
    /// Which certificates are to be renewed.
    pub reach: Reach,
    /// Why, for operators.
    pub reason: String,
    /// Where people on the other side read why.
    #[serde(default)]
    pub explanation_url: Option<String>,
    /// Over how long the renewals are spread, from the moment that it was opened.
    pub within: Duration,
    /// Since when.
    pub opened_at: Timestamp,
    /// Who opened it, as the audit trail has it.
    pub opened_by: String,
    /// Since when nobody is told any more.
    #[serde(default)]
    pub closed_at: Option<Timestamp>,
}

/// Which certificates an incident is about: those that meet every condition. None of them was issued after the incident
/// began, so that what replaces them is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Those of an issuer.
    #[serde(default, with = "as_text::option")]
    pub issuer: Option<IssuerKeyId>,
    /// Those of a profile.
    #[serde(default)]
    pub profile: Option<ProfileName>,
    /// Those of principals that match.
    #[serde(default, with = "as_text::option")]
    pub principal: Option<PrincipalPattern>,
    /// These; none: whatever meets the rest.
    #[serde(default, with = "serials")]
    pub serials: Vec<Serial>,
    /// Those issued at this moment or later.
    #[serde(default)]
    pub issued_from: Option<Timestamp>,
    /// Those issued before this moment.
    pub issued_before: Timestamp,
}

impl Reach {
    /// The most serials that one incident may name.
    pub const MOST_SERIALS: usize = 1000;

    /// Every certificate that was issued before a moment.
    #[must_use]
    pub const fn issued_before(moment: Timestamp) -> Self {
        Self {
            issuer: None,
            profile: None,
            principal: None,
            serials: Vec::new(),
            issued_from: None,
            issued_before: moment,
        }
    }

    /// Whether a certificate is among them.
    #[must_use]
    pub fn includes(&self, certificate: &CertificateRecord) -> bool {
        let Self {
            issuer,
            profile,
            principal,
            serials,
            issued_from,
            issued_before,
        } = self;
        issuer.is_none_or(|issuer| issuer == certificate.issuer)
            && profile
                .as_ref()
                .is_none_or(|profile| *profile == certificate.profile)
            && principal.as_ref().is_none_or(|pattern| {
                certificate
                    .principal
                    .as_ref()
                    .is_some_and(|principal| pattern.matches(principal))
            })
            && (serials.is_empty() || serials.contains(&certificate.serial))
            && issued_from.is_none_or(|from| certificate.issued_at >= from)
            && certificate.issued_at < *issued_before
    }
}

impl Incident {
    /// The first of the open ones, oldest first, that reaches a certificate.
    #[must_use]
    pub fn reaching<'a>(
        incidents: &'a [Self],
        certificate: &CertificateRecord,
    ) -> Option<&'a Self> {
        incidents
            .iter()
            .find(|it| it.closed_at.is_none() && it.reach.includes(certificate))
    }
}

mod serials {
    use portcullis_ca::serial::Serial;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(all: &[Serial], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Serial>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> CertificateRecord {
        CertificateRecord {
            serial: "0a".parse().unwrap(),
            issuer: IssuerKeyId([1; 32]),
            list_shard: 0,
            profile: "device".parse().unwrap(),
            principal: Some("device:fra/a".parse().unwrap()),
            names: Vec::new(),
            not_before: Timestamp::from_unix_seconds(0),
            not_after: Timestamp::from_unix_seconds(1000),
            key_fingerprint: [0; 32],
            der: Vec::new(),
            enrolment: None,
            account: None,
            order: None,
            issued_at: Timestamp::from_unix_seconds(100),
            revocation: None,
        }
    }

    #[test]
    fn an_incident_reaches_what_meets_all_its_conditions_and_was_issued_before_it() {
        let at = Timestamp::from_unix_seconds;
        let all = Reach::issued_before(at(101));
        let narrow = Reach {
            issuer: Some(IssuerKeyId([1; 32])),
            profile: Some("device".parse().unwrap()),
            principal: Some("device:fra/**".parse().unwrap()),
            serials: vec!["0b".parse().unwrap(), "0a".parse().unwrap()],
            issued_from: Some(at(100)),
            issued_before: at(101),
        };
        let but = |change: &dyn Fn(&mut Reach)| {
            let mut reach = narrow.clone();
            change(&mut reach);
            reach
        };
        for (what, reach, reached) in [
            ("all", all, true),
            ("every condition", narrow.clone(), true),
            (
                "another issuer",
                but(&|it| it.issuer = Some(IssuerKeyId([2; 32]))),
                false,
            ),
            (
                "another profile",
                but(&|it| it.profile = Some("service".parse().unwrap())),
                false,
            ),
            (
                "other principals",
                but(&|it| it.principal = Some("device:muc/**".parse().unwrap())),
                false,
            ),
            (
                "other serials",
                but(&|it| it.serials = vec!["0b".parse().unwrap()]),
                false,
            ),
            (
                "later ones",
                but(&|it| it.issued_from = Some(at(101))),
                false,
            ),
            (
                "earlier ones: what was issued with the incident replaces them",
                but(&|it| it.issued_before = at(100)),
                false,
            ),
        ] {
            assert_eq!(reach.includes(&certificate()), reached, "{what}");
        }
        let server = CertificateRecord {
            principal: None,
            ..certificate()
        };
        assert!(!narrow.includes(&server), "it proves nobody");
    }

    #[test]
    fn the_oldest_open_one_counts() {
        let incident = |number, closed: Option<i64>| Incident {
            number,
            reach: Reach::issued_before(Timestamp::from_unix_seconds(500)),
            reason: String::new(),
            explanation_url: None,
            within: Duration::ZERO,
            opened_at: Timestamp::from_unix_seconds(500),
            opened_by: String::new(),
            closed_at: closed.map(Timestamp::from_unix_seconds),
        };
        let all = [incident(1, Some(600)), incident(2, None), incident(3, None)];
        let found = Incident::reaching(&all, &certificate()).map(|it| it.number);
        assert_eq!(found, Some(2));
        let kept = serde_json::to_string(&all[0]).unwrap();
        assert_eq!(serde_json::from_str::<Incident>(&kept).unwrap(), all[0]);
    }
}
