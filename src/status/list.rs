//! Revocation lists as HTTP resources (RFC 2585 section 4.2, RFC 9110, RFC 9111): kept in memory ready to send, with
//! validators, so that who asks often gets little.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use time::{PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{http_date, not_found};
use crate::{
    authority::{Authority, CurrentList},
    domain::Timestamp,
};

/// A revocation list, DER. HEAD works too.
pub(super) async fn list(
    State(authority): State<Authority>,
    Path((issuer, file)): Path<(String, String)>,
    request: HeaderMap,
) -> Response {
    let lists = authority.lists();
    let shard = file.strip_suffix(".crl").filter(|digits| {
        // One URL for each list: no sign, no leading zeros.
        digits.bytes().all(|b| b.is_ascii_digit()) && (*digits == "0" || !digits.starts_with('0'))
    });
    let shard: Option<u32> = shard.and_then(|digits| digits.parse().ok());
    let found = lists
        .iter()
        .find(|list| Some(list.shard) == shard && list.issuer.short() == issuer);
    let Some(list) = found else {
        return not_found("no such list; the path is that of a certificate's distribution point");
    };
    // The number changes with every list, so it is a strong validator (RFC 9110 section 8.8.3).
    let tag = format!("\"{issuer}-{}-{}\"", list.shard, list.number);
    let headers = headers(list, &tag, authority.now());
    if is_known(&request, &tag, list.this_update) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, list.der.clone()).into_response()
}

fn headers(list: &CurrentList, tag: &str, now: Timestamp) -> HeaderMap {
    let fresh_for = list.next_update.since(now).as_secs();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/pkix-crl".to_owned()),
        (header::ETAG, tag.to_owned()),
        (header::LAST_MODIFIED, http_date(list.this_update)),
        (header::EXPIRES, http_date(list.next_update)),
        // Half of what is left: a revocation must not wait for a cache until the list's very end.
        (
            header::CACHE_CONTROL,
            format!(
                "public, max-age={}, must-revalidate",
                (fresh_for / 2).min(300)
            ),
        ),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Whether the client has this very list (RFC 9110 section 13.2.2). Where there is an If-None-Match, If-Modified-Since
/// does not count: two lists may be of the same second.
fn is_known(request: &HeaderMap, tag: &str, modified: Timestamp) -> bool {
    let mut tags = request.get_all(header::IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        // A list of tags, whose weakness does not matter here (section 13.1.2), or *. None of ours has a comma in it.
        return tags
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag);
    }
    request
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|value| read_http_date(value.to_str().ok()?))
        .is_some_and(|since| modified.whole_seconds() <= since)
}

/// IMF-fixdate (RFC 9110 section 5.6.7); what is none is passed over (section 13.1.3).
fn read_http_date(text: &str) -> Option<Timestamp> {
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let moment = PrimitiveDateTime::parse(text, FORMAT).ok()?;
    Some(moment.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_the_client_has_is_not_sent_again() {
        let modified = Timestamp::from_unix_seconds(1_800_000_000);
        let none_match = header::IF_NONE_MATCH;
        let since = header::IF_MODIFIED_SINCE;
        for (headers, expected) in [
            (vec![], false),
            (vec![(&none_match, "\"a-0-7\"")], true),
            (vec![(&none_match, "\"a-0-6\"")], false),
            (vec![(&none_match, "W/\"a-0-7\"")], true),
            (vec![(&none_match, "*")], true),
            (vec![(&none_match, "\"x\", W/\"y\" ,\"a-0-7\"")], true),
            (
                vec![(&none_match, "\"x\""), (&none_match, "\"a-0-7\"")],
                true,
            ),
            (vec![(&none_match, "a-0-7")], false),
            (vec![(&since, "Fri, 15 Jan 2027 08:00:00 GMT")], true),
            (vec![(&since, "Fri, 15 Jan 2027 07:59:59 GMT")], false),
            (vec![(&since, "Fri, 15 Jan 2027 08:00:01 GMT")], true),
            (vec![(&since, "yesterday")], false),
            // If-None-Match goes first.
            (
                vec![
                    (&none_match, "\"a-0-6\""),
                    (&since, "Fri, 15 Jan 2027 08:00:00 GMT"),
                ],
                false,
            ),
        ] {
            let mut request = HeaderMap::new();
            for (name, value) in &headers {
                request.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(
                is_known(&request, "\"a-0-7\"", modified),
                expected,
                "{headers:?}"
            );
        }
    }
}
