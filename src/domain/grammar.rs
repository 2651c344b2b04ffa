//! What the small grammars of this room share: a cursor over text, and the error that names a place in it.

use std::fmt;

/// A text that does not follow the grammar of a scope, a principal or a pattern.
///
/// It says where (a byte offset), what stood there, and which part of the grammar wants what instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{noun} {text:?}: at offset {offset} found {}, but {part} wants {wants}", Found(*found))]
pub struct GrammarError {
    /// What the text should have been: `scope`, `principal` …
    pub noun: &'static str,
    /// The text, cut after 200 characters.
    pub text: String,
    /// Where it goes wrong, in bytes from its beginning.
    pub offset: usize,
    /// The character that stands there; `None` at the end of the text.
    pub found: Option<char>,
    /// The part of the grammar that is at fault: `action`, `segment` …
    pub part: &'static str,
    /// What that part wants there.
    pub wants: &'static str,
}

struct Found(Option<char>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(character) => write!(f, "{character:?}"),
            None => f.write_str("the end"),
        }
    }
}

/// A place in a text that is being read.
pub(crate) struct Cursor<'t> {
    noun: &'static str,
    text: &'t str,
    offset: usize,
}

impl<'t> Cursor<'t> {
    pub(crate) const fn new(noun: &'static str, text: &'t str) -> Self {
        Self {
            noun,
            text,
            offset: 0,
        }
    }

    pub(crate) fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Takes `literal` if it stands here.
    pub(crate) fn take(&mut self, literal: &str) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.offset += literal.len();
        }
        found
    }

    /// Takes as many characters as `belongs` allows; perhaps none.
    pub(crate) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    /// Takes `LOWER *( belongs )`.
    pub(crate) fn word(
        &mut self,
        part: &'static str,
        belongs: impl Fn(char) -> bool,
    ) -> Result<&'t str, GrammarError> {
        if !self.peek().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err(self.error(part, "a lower-case letter"));
        }
        Ok(self.take_while(belongs))
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn error(&self, part: &'static str, wants: &'static str) -> GrammarError {
        self.error_at(self.offset, part, wants)
    }

    pub(crate) fn error_at(
        &self,
        offset: usize,
        part: &'static str,
        wants: &'static str,
    ) -> GrammarError {
        GrammarError {
            noun: self.noun,
            text: self.text.chars().take(200).collect(),
            offset,
            found: self.text.get(offset..).and_then(|rest| rest.chars().next()),
            part,
            wants,
        }
    }

    pub(crate) fn expect_end(
        &self,
        part: &'static str,
        wants: &'static str,
    ) -> Result<(), GrammarError> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.error(part, wants))
        }
    }
}

/// Serialises a type as its text, and reads it back through `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
