//! What the server says about when to renew the certificate (RFC 9773): asked for, checked, and kept in
//! `renewal-info.json` so that `status` and the next run know it.

use std::time::Duration;

use http::Method;
use instant_acme::CertificateIdentifier;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    account::StoredAccount,
    certificate::Certificate,
    directory::Directory,
    durable,
    error::{AgentError, Step},
    renewal::ask_again_after,
    signed_request::{read_problem, request},
    state::{PUBLIC, StateDirectory, StateError, StateLock, read_if_there},
    transport::Transport,
};

/// The longest explanation URL that is kept.
const LONGEST_URL: usize = 2000;

/// Between when and when to renew, as the server said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalInfo {
    /// The SHA-256 of the certificate that it is about, in hexadecimal.
    pub certificate: String,
    /// The first moment.
    #[serde(with = "moment")]
    pub start: OffsetDateTime,
    /// The last.
    #[serde(with = "moment")]
    pub end: OffsetDateTime,
    /// Where the server says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
    /// When the server was asked.
    #[serde(with = "moment")]
    pub asked_at: OffsetDateTime,
    /// When to ask again.
    #[serde(with = "moment")]
    pub ask_again_at: OffsetDateTime,
}

/// The RenewalInfo object (RFC 9773 section 4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfoObject {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    explanation_url: Option<String>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    #[serde(with = "moment")]
    start: OffsetDateTime,
    #[serde(with = "moment")]
    end: OffsetDateTime,
}

/// Asks the server of an account when a certificate is to be renewed, as of `now`. Nothing where the server does not say
/// such things, or the certificate does not name its issuer's key.
///
/// # Errors
/// The server can't be reached, isn't trusted, refuses, or answers with a window that ends before it starts.
pub async fn ask(
    transport: &Transport,
    account: &StoredAccount,
    certificate: &Certificate,
    now: OffsetDateTime,
) -> Result<Option<RenewalInfo>, AgentError> {
    let step = Step::RenewalInfo;
    let Ok(id) = CertificateIdentifier::try_from(certificate.der()) else {
        return Ok(None);
    };
    let directory = Directory::fetch(transport, account).await?;
    let Some(url) = directory.renewal_info.as_deref() else {
        return Ok(None);
    };
    let url = format!("{}/{id}", url.trim_end_matches('/'));
    let answer = transport
        .send(request(step, Method::GET, &url, None)?)
        .await?;
    if !answer.status().is_success() {
        let problem = read_problem(step, &answer)?;
        return Err(AgentError::from_problem(step, &problem, account));
    }
    let retry_after = ask_again_after(transport.retry_after());
    read(answer.body(), certificate, retry_after, now).map(Some)
}

fn read(
    json: &[u8],
    certificate: &Certificate,
    retry_after: Duration,
    now: OffsetDateTime,
) -> Result<RenewalInfo, AgentError> {
    let protocol = |detail: String| AgentError::Protocol {
        step: Step::RenewalInfo,
        detail,
    };
    let object: RenewalInfoObject = serde_json::from_slice(json)
        .map_err(|error| protocol(format!("it is no renewal information: {error}")))?;
    let SuggestedWindow { start, end } = object.suggested_window;
    // Such a window is as good as no answer (RFC 9773 section 4.2).
    if end <= start {
        return Err(protocol(
            "the window ends before it starts (RFC 9773 section 4.2)".to_owned(),
        ));
    }
    let plain = |url: &String| {
        url.len() <= LONGEST_URL
            && (url.starts_with("https://") || url.starts_with("http://"))
            && !url.chars().any(char::is_control)
    };
    Ok(RenewalInfo {
        certificate: hex::encode(certificate.sha256()),
        start,
        end,
        explanation_url: object.explanation_url.filter(plain),
        asked_at: now,
        ask_again_at: now + retry_after,
    })
}

impl StateDirectory {
    /// What the server last said about a certificate. A file that is damaged, or about another certificate, says nothing.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub fn renewal_info(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<RenewalInfo>, StateError> {
        let about = hex::encode(certificate.sha256());
        let json = read_if_there(&self.path().join("renewal-info.json"))?;
        Ok(json
            .and_then(|json| serde_json::from_slice::<RenewalInfo>(&json).ok())
            .filter(|info| info.certificate == about && info.start < info.end))
    }

    /// Keeps what the server said.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn set_renewal_info(
        &self,
        info: &RenewalInfo,
        _lock: &StateLock,
    ) -> Result<(), StateError> {
        let path = self.path().join("renewal-info.json");
        let mut json = serde_json::to_vec_pretty(info).expect("strings always become JSON");
        json.push(b'\n');
        durable::write(&path, &json, PUBLIC).map_err(StateError::writing(&path))
    }
}

/// Moments in JSON: RFC 3339.
mod moment {
    use super::{OffsetDateTime, Rfc3339};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        moment: &OffsetDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::agent::moment::rfc3339(*moment))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OffsetDateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::CertificateDer;
    use serde_json::{Value, json};
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    fn certificate() -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let der = parameters.self_signed(&key).unwrap().der().to_vec();
        Certificate::from_der(CertificateDer::from(der)).unwrap()
    }

    fn read_json(json: &Value) -> Option<RenewalInfo> {
        let hour = Duration::from_secs(3600);
        read(json.to_string().as_bytes(), &certificate(), hour, NOW).ok()
    }

    #[test]
    fn a_window_that_is_none_is_as_good_as_no_answer() {
        let window =
            |start: &str, end: &str| json!({"suggestedWindow": {"start": start, "end": end}});
        let (a, b) = ("2027-01-02T04:00:00Z", "2027-01-03T04:00:00.5+01:00");
        for (what, json, good) in [
            ("a window", window(a, b), true),
            ("the end before the start", window(b, a), false),
            ("the end at the start", window(a, a), false),
            ("no moments", window("soon", "later"), false),
            ("no window", json!({}), false),
            ("a list", json!([]), false),
        ] {
            assert_eq!(read_json(&json).is_some(), good, "{what}");
        }
    }

    #[test]
    fn an_explanation_is_the_url_of_a_page_or_left_out() {
        for (url, kept) in [
            (json!("https://ca.example/incidents/1"), true),
            (json!("http://ca.example/"), true),
            (json!("javascript:alert(1)"), false),
            (json!("https://ca.example/\u{1b}[2J"), false),
            (json!(format!("https://{}", "a".repeat(3000))), false),
            (json!(null), false),
        ] {
            let info = read_json(&json!({
                "suggestedWindow": {"start": "2027-01-02T04:00:00Z", "end": "2027-01-03T04:00:00Z"},
                "explanationURL": url,
            }))
            .unwrap();
            let expected = url.as_str().filter(|_| kept).map(str::to_owned);
            assert_eq!(info.explanation_url, expected);
        }
    }

    #[test]
    fn what_is_kept_is_about_one_certificate() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::create(&parent.path().join("state")).unwrap();
        let lock = state.lock().unwrap();
        let (ours, other) = (certificate(), certificate());
        assert_eq!(state.renewal_info(&ours).unwrap(), None);
        let info = RenewalInfo {
            certificate: hex::encode(ours.sha256()),
            start: NOW,
            end: NOW + Duration::from_secs(60),
            explanation_url: None,
            asked_at: NOW,
            ask_again_at: NOW + Duration::from_secs(3600),
        };
        state.set_renewal_info(&info, &lock).unwrap();
        assert_eq!(state.renewal_info(&ours).unwrap(), Some(info));
        assert_eq!(state.renewal_info(&other).unwrap(), None);
        std::fs::write(state.path().join("renewal-info.json"), "{").unwrap();
        assert_eq!(state.renewal_info(&ours).unwrap(), None);
    }
}
