//! The path of a request, normalised once: what routes match and what is forwarded are the same text.
//!
//! Traversal, encoded separators, empty segments and parameters are not repaired but refused: what two programs may
//! read differently must not pass (Caddy GHSA-gx7w; RFC 3986 section 6.2.2, RFC 9110 section 4.2.3).

use std::fmt;

/// A path of which every text has one spelling: percent-encoded exactly where RFC 3986 section 3.3 makes it necessary,
/// in upper-case hexadecimal, and plain elsewhere. Normalising it again changes nothing.
///
/// It begins with `/`; no segment is empty but perhaps the last (`/a/` is not `/a`); none is `.` or `..`; it holds no
/// encoded `/` or `\`, no `;`, no control character and no `%25` that hides a second layer of encoding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalisedPath(Box<str>);

/// Why a path is refused. Offsets are in bytes of the path as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It doesn't begin with `/` (an asterisk, an authority, or nothing).
    #[error("the path must begin with '/'")]
    NotAbsolute,
    /// More than [`NormalisedPath::LONGEST`] bytes.
    #[error("the path is longer than 8192 bytes")]
    TooLong,
    /// `%` without two hexadecimal digits.
    #[error("'%' at offset {0} is not followed by two hexadecimal digits")]
    BadPercent(usize),
    /// `%2f` or `%5c`: some servers read a separator there, others do not.
    #[error("an encoded '/' or '\\' at offset {0}")]
    EncodedSeparator(usize),
    /// `\`: some servers read it as `/`.
    #[error("a '\\' at offset {0}")]
    Backslash(usize),
    /// `%25` before two hexadecimal digits: who decodes twice sees another path.
    #[error("a doubly encoded character in the path")]
    DoublyEncoded,
    /// `;`, encoded or not: some servers cut a segment there.
    #[error("a ';' at offset {0}")]
    Parameter(usize),
    /// `#` or `?`: neither belongs to a path.
    #[error("a '#' or '?' at offset {0}")]
    Delimiter(usize),
    /// NUL or another control character, encoded or not.
    #[error("a control character in the path")]
    Control,
    /// The decoded bytes are not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// `//`.
    #[error("an empty segment in the path")]
    EmptySegment,
    /// `.` or `..`, encoded or not.
    #[error("a '.' or '..' segment in the path")]
    DotSegment,
}

impl NormalisedPath {
    /// The most bytes that a path may have, as it was sent.
    pub const LONGEST: usize = 8192;

    /// Normalises a path that comes without its query.
    ///
    /// # Errors
    /// [`PathError`] for every path that two programs may understand differently. A `?` is refused as well: part the
    /// query first, or use [`NormalisedPath::from_target`].
    pub fn new(path: &str) -> Result<Self, PathError> {
        if path.len() > Self::LONGEST {
            return Err(PathError::TooLong);
        }
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let decoded = decode(path)?;
        let decoded = std::str::from_utf8(&decoded).map_err(|_| PathError::NotUtf8)?;
        if decoded.chars().any(char::is_control) {
            return Err(PathError::Control);
        }
        check_segments(decoded)?;
        Ok(Self(encode(decoded).into()))
    }

    /// Normalises the path of an origin-form request target and gives the query (what follows the first `?`) as it
    /// is.
    ///
    /// # Errors
    /// As [`NormalisedPath::new`].
    pub fn from_target(target: &str) -> Result<(Self, Option<&str>), PathError> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Ok((Self::new(path)?, query))
    }

    /// The path as it is matched and forwarded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, still encoded. The last one is empty where the path ends in `/`; `/` is one empty segment.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.get(1..).unwrap_or_default().split('/')
    }
}

/// Decodes every percent-encoding once, and refuses what must not be there in either spelling.
fn decode(path: &str) -> Result<Vec<u8>, PathError> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (value, length) = if byte == b'%' {
            (hex_pair(bytes, at + 1).ok_or(PathError::BadPercent(at))?, 3)
        } else {
            (byte, 1)
        };
        let encoded = length == 3;
        match value {
            b'/' | b'\\' if encoded => return Err(PathError::EncodedSeparator(at)),
            b'\\' => return Err(PathError::Backslash(at)),
            b';' => return Err(PathError::Parameter(at)),
            b'?' | b'#' if !encoded => return Err(PathError::Delimiter(at)),
            other => decoded.push(other),
        }
        at += length;
    }
    // However the digits were spelled: `%252e` and `%25%32e` alike.
    if (0..decoded.len())
        .any(|at| decoded.get(at) == Some(&b'%') && hex_pair(&decoded, at + 1).is_some())
    {
        return Err(PathError::DoublyEncoded);
    }
    Ok(decoded)
}

fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(at)? << 4 | digit(at + 1)?)
}

fn check_segments(decoded: &str) -> Result<(), PathError> {
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment == "." || segment == ".." {
            return Err(PathError::DotSegment);
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
    }
    Ok(())
}

/// Encodes what RFC 3986 section 3.3 does not allow in a path as it is.
fn encode(decoded: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(decoded.len());
    for &byte in decoded.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

impl fmt::Display for NormalisedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NormalisedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_spelling() {
        for (sent, normal) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/%61%2D%5f/b", "/a-_/b"),
            ("/a%20b", "/a%20b"),
            ("/a b", "/a%20b"),
            ("/%40me", "/@me"),
            ("/a%2ab", "/a*b"),
            ("/%e4%bd%a0", "/%E4%BD%A0"),
            ("/ä", "/%C3%A4"),
            ("/100%25", "/100%25"),
            ("/a%3fb%23", "/a%3Fb%23"),
            ("/a..b/...", "/a..b/..."),
            ("/Admin", "/Admin"),
        ] {
            let path = NormalisedPath::new(sent).expect(sent);
            assert_eq!(path.as_str(), normal, "{sent}");
            assert_eq!(NormalisedPath::new(normal), Ok(path), "{sent}");
        }
    }

    /// Trap 32 (Caddy GHSA-gx7w): path prefix authorization. RFC 3986 would remove dot segments; we refuse them.
    #[test]
    fn a_path_that_two_programs_may_read_differently_is_refused() {
        use PathError::*;
        for (sent, error) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("a/b", NotAbsolute),
            ("http://x/a", NotAbsolute),
            ("/admin/../public", DotSegment),
            ("/public/..", DotSegment),
            ("/./a", DotSegment),
            ("/%2e%2e/a", DotSegment),
            ("/.%2E/a", DotSegment),
            ("/%2e", DotSegment),
            ("/a%2fb", EncodedSeparator(2)),
            ("/a%2Fb", EncodedSeparator(2)),
            ("/a%5cb", EncodedSeparator(2)),
            ("/a\\..\\b", Backslash(2)),
            ("//a", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("//", EmptySegment),
            ("/a;x=1/b", Parameter(2)),
            ("/a%3bx", Parameter(2)),
            ("/..;/a", Parameter(3)),
            ("/a%00", Control),
            ("/a\0", Control),
            ("/a\r\nb", Control),
            ("/a%0d%0ab", Control),
            ("/a%7f", Control),
            ("/a%c2%85", Control),
            ("/a%", BadPercent(2)),
            ("/a%4", BadPercent(2)),
            ("/a%zz", BadPercent(2)),
            ("/a%+1", BadPercent(2)),
            ("/%ff", NotUtf8),
            ("/%c0%ae%c0%ae/", NotUtf8),
            ("/%252e%252e/a", DoublyEncoded),
            ("/%25%32e", DoublyEncoded),
            ("/%252f", DoublyEncoded),
            ("/a#b", Delimiter(2)),
            ("/a?b", Delimiter(2)),
        ] {
            assert_eq!(NormalisedPath::new(sent), Err(error), "{sent:?}");
        }
        let long = format!("/{}", "a".repeat(8192));
        assert_eq!(NormalisedPath::new(&long), Err(TooLong));
    }

    #[test]
    fn the_query_is_kept_apart() {
        let (path, query) = NormalisedPath::from_target("/a/b?c=/../d;e?f").expect("a target");
        assert_eq!((path.as_str(), query), ("/a/b", Some("c=/../d;e?f")));
        let (path, query) = NormalisedPath::from_target("/a").expect("a target");
        assert_eq!((path.as_str(), query), ("/a", None));
        assert_eq!(
            NormalisedPath::from_target("/a%3fb").map(|(_, query)| query),
            Ok(None)
        );
    }
}
