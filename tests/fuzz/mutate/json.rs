//! Changes to JSON: to values, members and their names, and to what strings hold in base64url.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{bytes, der};
use crate::fuzz::random::Random;

/// Strings that mean something somewhere.
const TEXTS: [&str; 26] = [
    "",
    " ",
    "=",
    "AA",
    "AB",
    "AA==",
    "A",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "..",
    "*",
    "*.",
    "*.a.example",
    "a.example.",
    "xn--",
    "::1",
    "127.0.0.1",
    "none",
    "HS256",
    "ES256",
    "deactivated",
    "valid",
    "2030-01-01T00:00:00Z",
    "urn:ietf:params:acme:error:malformed",
    "https://ca.test/acme/account/1",
];

/// JSON text with some changes. What is no JSON is changed as bytes.
pub fn mutate(text: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else {
        let mut octets = text.to_vec();
        bytes::mutate(&mut octets, other, random);
        return octets;
    };
    for _ in 0..=random.below(3) {
        change(&mut value, other, random);
    }
    let mut octets = value.to_string().into_bytes();
    match random.below(12) {
        0 => bytes::mutate(&mut octets, other, random),
        1 => duplicate_member(&mut octets, random),
        2 => octets.extend_from_slice(b" \t{}"),
        3 => octets.insert(0, *random.pick(b" \n[{\xef")),
        _ => {}
    }
    octets
}

/// A value somewhere within.
fn change(value: &mut Value, other: &[u8], random: &mut Random) {
    match value {
        Value::Object(members) if !members.is_empty() && !random.once_in(8) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = random.pick(&names).clone();
            change_member(members, &name, other, random);
        }
        Value::Array(items) if !items.is_empty() && !random.once_in(8) => {
            let at = random.below(items.len());
            match random.below(8) {
                0 => drop(items.remove(at)),
                1 => {
                    let again = items[at].clone();
                    let times = if random.once_in(50) { 300 } else { 1 };
                    items.extend(std::iter::repeat_n(again, times));
                }
                _ => change(&mut items[at], other, random),
            }
        }
        Value::String(text) if !random.once_in(6) => change_text(text, other, random),
        whatever @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => *whatever = something(random),
    }
}

fn change_member(members: &mut Map<String, Value>, name: &str, other: &[u8], random: &mut Random) {
    match random.below(10) {
        0 => drop(members.remove(name)),
        1 => {
            let value = members.remove(name).expect("there");
            let mut octets = name.as_bytes().to_vec();
            bytes::mutate(&mut octets, other, random);
            members.insert(String::from_utf8_lossy(&octets).into_owned(), value);
        }
        2 => {
            const NAMES: [&str; 12] = [
                "crit",
                "b64",
                "header",
                "signatures",
                "jwk",
                "kid",
                "x5c",
                "d",
                "k",
                "use",
                "alg",
                "nonce",
            ];
            members.insert((*random.pick(&NAMES)).to_owned(), something(random));
        }
        3 => {
            let names: Vec<String> = members.keys().cloned().collect();
            let from = members[random.pick(&names)].clone();
            members[name] = from;
        }
        _ => change(&mut members[name], other, random),
    }
}

/// A string: as base64url of DER, of JSON or of anything, or as text.
pub fn change_text(text: &mut String, other: &[u8], random: &mut Random) {
    let decoded = URL_SAFE_NO_PAD
        .decode(&*text)
        .ok()
        .filter(|it| it.len() > 3);
    match (random.below(10), decoded) {
        (0..=4, Some(inner)) => {
            let inner = match inner.first() {
                Some(0x30) => der::mutate(&inner, other, random),
                Some(b'{') => mutate(&inner, other, random),
                Some(_) | None => {
                    let mut octets = inner;
                    bytes::mutate(&mut octets, other, random);
                    octets
                }
            };
            *text = URL_SAFE_NO_PAD.encode(inner);
        }
        (5, _) => text.push(*random.pick(&['=', ' ', '\n', '.', 'A', '+', '/', '\u{0}', 'é'])),
        (6, _) => {
            // The last character alone has bits that no octet has.
            text.pop();
            text.push(char::from(*random.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ019-_")));
        }
        (7, _) => *text = (*random.pick(&TEXTS)).to_owned(),
        (8, _) if random.once_in(100) => *text = text.repeat(1 + random.below(500)),
        (_, _) => {
            let mut octets = std::mem::take(text).into_bytes();
            bytes::mutate(&mut octets, other, random);
            *text = String::from_utf8_lossy(&octets).into_owned();
        }
    }
}

fn something(random: &mut Random) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e300),
        7 => json!([]),
        8 => json!({}),
        9 => {
            let depth = if random.once_in(50) {
                120
            } else {
                random.below(20)
            };
            (0..depth).fold(json!(1), |inner, _| json!([inner]))
        }
        10 => json!({"type": "dns", "value": *random.pick(&TEXTS)}),
        _ => json!(*random.pick(&TEXTS)),
    }
}

/// Writes a member twice, with the first or with another value; a parsed value can't have that. Or nests far too deep.
fn duplicate_member(octets: &mut Vec<u8>, random: &mut Random) {
    if random.once_in(20) {
        let bracket = *random.pick(&["[", "{\"a\":", "\"\\\\", "[[\""]);
        let deep = bracket.repeat(1 + random.below(40_000));
        let at = random.below(octets.len());
        octets.splice(at..at, deep.into_bytes());
        return;
    }
    let text = String::from_utf8_lossy(octets).into_owned();
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(&text) else {
        return;
    };
    let names: Vec<&String> = members.keys().collect();
    if names.is_empty() {
        return;
    }
    let name = *random.pick(&names);
    let value = if random.once_in(2) {
        members[name].clone()
    } else {
        something(random)
    };
    let again = format!("{{{}:{value},", json!(name));
    *octets = text.replacen('{', &again, 1).into_bytes();
}
