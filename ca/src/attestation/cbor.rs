//! Reading CBOR (RFC 8949) in CTAP2's canonical form, but for the order of keys: definite and shortest lengths, no tags, no
//! floating point numbers, no key twice, nothing behind the value. Borrowed; it never panics and never reads far ahead.

/// The most containers within one another.
const MAX_DEPTH: usize = 8;

/// The most values in all.
const MAX_VALUES: usize = 1024;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Value<'a>>),
    Map(Map<'a>),
    /// `false`, `true`, `null`: what nothing here asks for, and what may stand beside what is asked for.
    Simple,
}

/// A key of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Integer(i64),
    Text(&'a str),
}

/// A map; each key once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Map<'a>(Vec<(Key<'a>, Value<'a>)>);

impl<'a> Map<'a> {
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Value<'a>> {
        self.0
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }

    pub(super) fn bytes(&self, key: Key<'_>) -> Option<&'a [u8]> {
        match self.get(key)? {
            Value::Bytes(bytes) => Some(bytes),
            Value::Integer(_)
            | Value::Text(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Simple => None,
        }
    }

    pub(super) fn text(&self, key: Key<'_>) -> Option<&'a str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            Value::Integer(_)
            | Value::Bytes(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Simple => None,
        }
    }

    pub(super) fn integer(&self, key: Key<'_>) -> Option<i64> {
        match self.get(key)? {
            Value::Integer(number) => Some(*number),
            Value::Text(_) | Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Simple => {
                None
            }
        }
    }

    pub(super) fn map(&self, key: Key<'_>) -> Option<&Map<'a>> {
        match self.get(key)? {
            Value::Map(map) => Some(map),
            Value::Integer(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Array(_)
            | Value::Simple => None,
        }
    }

    pub(super) fn array(&self, key: Key<'_>) -> Option<&[Value<'a>]> {
        match self.get(key)? {
            Value::Array(values) => Some(values),
            Value::Integer(_)
            | Value::Text(_)
            | Value::Bytes(_)
            | Value::Map(_)
            | Value::Simple => None,
        }
    }
}

/// Reads one value, which must fill `octets`.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn read(octets: &[u8]) -> Result<Value<'_>, &'static str> {
    match read_first(octets)? {
        (value, []) => Ok(value),
        _ => Err("something follows it"),
    }
}

/// Reads the first value; what follows it is given back.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn read_first(octets: &[u8]) -> Result<(Value<'_>, &[u8]), &'static str> {
    let mut reader = Reader {
        rest: octets,
        values: 0,
    };
    let value = reader.value(0)?;
    Ok((value, reader.rest))
}

struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, &'static str> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err("it is nested too deeply or has too many values");
        }
        let (major, argument) = self.head()?;
        match major {
            0 => i64::try_from(argument)
                .map(Value::Integer)
                .map_err(|_| "a number is too large"),
            // RFC 8949 section 3.1: the number is -1 - argument.
            1 => i64::try_from(argument)
                .map(|argument| Value::Integer(-1 - argument))
                .map_err(|_| "a number is too small"),
            2 => self.take(argument).map(Value::Bytes),
            3 => std::str::from_utf8(self.take(argument)?)
                .map(Value::Text)
                .map_err(|_| "a text is not UTF-8"),
            4 => {
                let mut values = Vec::new();
                for _ in 0..argument {
                    values.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(values))
            }
            5 => self.map(argument, depth).map(Value::Map),
            7 if (20..=22).contains(&argument) => Ok(Value::Simple),
            6 => Err("it has a tag"),
            _ => Err("it has a floating point number or an unknown simple value"),
        }
    }

    fn map(&mut self, pairs: u64, depth: usize) -> Result<Map<'a>, &'static str> {
        let mut map = Map::default();
        for _ in 0..pairs {
            let key = match self.value(depth + 1)? {
                Value::Integer(number) => Key::Integer(number),
                Value::Text(text) => Key::Text(text),
                Value::Bytes(_) | Value::Array(_) | Value::Map(_) | Value::Simple => {
                    return Err("a key is neither text nor a number");
                }
            };
            if map.get(key).is_some() {
                return Err("a key stands there twice");
            }
            let value = self.value(depth + 1)?;
            map.0.push((key, value));
        }
        Ok(map)
    }

    /// A value's major type and argument (RFC 8949 section 3).
    fn head(&mut self) -> Result<(u8, u64), &'static str> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 0x1f);
        let octets = match short {
            0..24 => return Ok((major, u64::from(short))),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            28.. => return Err("a length is indefinite or reserved"),
        };
        // What follows 0xf8 to 0xfb is a simple value or a floating point number, and neither is read here.
        if major == 7 {
            return Err("it has a floating point number or an unknown simple value");
        }
        let argument = self
            .take(octets)?
            .iter()
            .fold(0_u64, |value, octet| value << 8 | u64::from(*octet));
        let least = match octets {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if argument < least {
            return Err("a length or number is not written in its shortest form");
        }
        Ok((major, argument))
    }

    fn take(&mut self, octets: u64) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = usize::try_from(octets)
            .ok()
            .and_then(|octets| self.rest.split_at_checked(octets))
            .ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8949 appendix A, as far as it is in the canonical form; and what is not.
    #[test]
    fn only_the_canonical_form_is_read() {
        for (text, read_as) in [
            ("00", Some(Value::Integer(0))),
            ("1818", Some(Value::Integer(24))),
            ("1903e8", Some(Value::Integer(1000))),
            (
                "1b000000e8d4a51000",
                Some(Value::Integer(1_000_000_000_000)),
            ),
            ("20", Some(Value::Integer(-1))),
            ("390100", Some(Value::Integer(-257))),
            ("4401020304", Some(Value::Bytes(&[1, 2, 3, 4]))),
            ("6449455446", Some(Value::Text("IETF"))),
            ("80", Some(Value::Array(vec![]))),
            ("f5", Some(Value::Simple)),
            (
                "a2616101616202",
                Some(Value::Map(Map(vec![
                    (Key::Text("a"), Value::Integer(1)),
                    (Key::Text("b"), Value::Integer(2)),
                ]))),
            ),
            // Not the shortest form.
            ("1817", None),
            ("190001", None),
            ("1a00000001", None),
            ("1b0000000000000001", None),
            ("580101", None),
            // Indefinite lengths, tags, floating point numbers, undefined.
            ("5f42010243030405ff", None),
            ("9fff", None),
            ("bfff", None),
            ("c11a514b67b0", None),
            ("f93c00", None),
            ("fb3ff199999999999a", None),
            ("f818", None),
            ("f7", None),
            ("1c", None),
            // A key twice, a key of another kind, no UTF-8.
            ("a2616101616102", None),
            ("a1400101", None),
            ("62ff00", None),
            // Too long, too short, too large, and lengths that lie.
            ("0000", None),
            ("", None),
            ("19ff", None),
            ("1bffffffffffffffff", None),
            ("3bffffffffffffffff", None),
            ("5bffffffffffffffff", None),
            ("9bffffffffffffffff", None),
            ("bbffffffffffffffff", None),
            ("818181818181818181818100", None),
        ] {
            let octets = hex::decode(text).expect("hexadecimal");
            assert_eq!(read(&octets).ok(), read_as, "{text}");
        }
        let many = [&[0x99, 0x04, 0x01][..], &[0; 1025]].concat();
        assert!(read(&many).is_err());
    }
}
