//! The API key of a request: where it may stand, and whether it is good.
//!
//! It is read only where the route names it; elsewhere `Authorization` passes untouched. A key in a query would end up in
//! logs and histories, and two keys would leave open which of them counts: both are refused (RFC 6750 sections 2 and 2.3).

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use super::identity_headers::{X_API_KEY, strip_consumed};
use crate::{
    authority::standing::Standing,
    domain::{
        Timestamp,
        api_key::{ApiKey, ApiKeyToken, Pepper},
        denial::Denial,
    },
};

/// Reads the key that a request presents, and verifies it.
///
/// # Errors
/// [`Denial`]: 400 when it stands in the wrong place or there are two, 401 when it is not good.
pub(super) fn verified(
    headers: &HeaderMap,
    query: Option<&str>,
    standing: &Standing,
    pepper: &Pepper,
    now: Timestamp,
) -> Result<Option<Arc<ApiKey>>, Denial> {
    let Some(token) = presented(headers, query)? else {
        return Ok(None);
    };
    let token: ApiKeyToken = token.parse()?;
    let key = standing
        .api_key(&token.id())
        .ok_or_else(|| Denial::invalid_token(format_args!("no key {} is in force", token.id())))?;
    key.verify(&token, pepper, now)?;
    Ok(Some(key))
}

/// Takes out of a request's headers the places where a key may stand: the upstream has no use for it.
pub(super) fn strip(headers: &mut HeaderMap) {
    strip_consumed(headers, &header::AUTHORIZATION);
    strip_consumed(headers, &X_API_KEY);
}

fn presented<'r>(headers: &'r HeaderMap, query: Option<&str>) -> Result<Option<&'r str>, Denial> {
    if query.is_some_and(holds_key) {
        return Err(Denial::invalid_request("a key stands in the query"));
    }
    let mut found = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .map(bearer)
        .chain(headers.get_all(&X_API_KEY).iter().map(text));
    let first = found.next();
    if found.next().is_some() {
        return Err(Denial::invalid_request("a key is given twice"));
    }
    first.transpose()
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1). On a route that takes keys the field is the gate's, so
/// any other scheme in it is a credential that proves nothing.
fn bearer(value: &HeaderValue) -> Result<&str, Denial> {
    let invalid = || Denial::invalid_token("Authorization is not a bearer token");
    let (scheme, token) = text(value)?.split_once(' ').ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid());
    }
    Ok(token.trim_matches(' '))
}

fn text(value: &HeaderValue) -> Result<&str, Denial> {
    value
        .to_str()
        .map_err(|_| Denial::invalid_token("the key is not ASCII"))
}

/// Whether a query carries a key: by the name of a parameter, or because its value looks like one of ours.
fn holds_key(query: &str) -> bool {
    const NAMES: [&str; 5] = ["access_token", "api_key", "api-key", "apikey", "x-api-key"];
    const BRANDS: [&str; 4] = ["pc_sk_", "pc_rk_", "pc_tk_", "pc_ek_"];
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| {
        NAMES.iter().any(|it| name.eq_ignore_ascii_case(it))
            || BRANDS.iter().any(|it| value.starts_with(it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&'static str, &str)], query: Option<&str>) -> Result<Option<String>, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        presented(&headers, query)
            .map(|token| token.map(str::to_owned))
            .map_err(|denial| denial.http_status())
    }

    #[test]
    fn a_key_stands_in_one_place() {
        let one = || Ok(Some("KEY".to_owned()));
        let (authorization, x_api_key) = ("authorization", "x-api-key");
        for (fields, query, expected) in [
            (&[][..], None, Ok(None)),
            (&[(authorization, "Bearer KEY")], None, one()),
            (&[(authorization, "bEARER  KEY ")], None, one()),
            (&[(x_api_key, "KEY")], Some("a=1&b"), one()),
            (&[(authorization, "Basic eA==")], None, Err(401)),
            (&[(authorization, "KEY")], None, Err(401)),
            (
                &[(authorization, "Bearer K"), (x_api_key, "K")],
                None,
                Err(400),
            ),
            (&[(x_api_key, "K"), (x_api_key, "K")], None, Err(400)),
            (
                &[(authorization, "Bearer K"), (authorization, "Bearer K")],
                None,
                Err(400),
            ),
            (&[], Some("api_key=K"), Err(400)),
            (&[], Some("a=1&Access_Token=K"), Err(400)),
            (&[], Some("access%5ftoken=K"), Err(400)),
            (&[], Some("t=pc_sk_abc"), Err(400)),
            (&[(x_api_key, "KEY")], Some("apikey=K"), Err(400)),
        ] {
            assert_eq!(read(fields, query), expected, "{fields:?} {query:?}");
        }
    }
}
