//! Labels: facts about a principal, set by an operator, that bindings ask for (`when`) and scopes use (`{label.NAME}`).

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::grammar::{Cursor, GrammarError, serde_as_text};

/// The name of a label: a lower-case letter, then lower-case letters, digits, `_` and `-`; at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelName(Box<str>);

/// The value of a label: 1 to 255 bytes without control characters.
///
/// It may hold more than a segment of a scope may. Where `{label.NAME}` would have to be filled with such a value, the
/// scope gives nothing: a value never becomes a pattern (see `Scope::expand`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelValue(Box<str>);

/// A principal's labels. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "BTreeMap<LabelName, LabelValue>",
    into = "BTreeMap<LabelName, LabelValue>"
)]
pub struct Labels(Arc<BTreeMap<LabelName, LabelValue>>);

/// What is known about a principal apart from its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalState {
    /// Its labels.
    pub labels: Labels,
    /// Whether it is suspended: every credential of it is refused until it is released.
    pub suspended: bool,
}

impl Labels {
    /// The value of the label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&LabelValue> {
        self.0.get(name)
    }

    /// Every label, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&LabelName, &LabelValue)> {
        self.0.iter()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same labels with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: LabelName, value: LabelValue) -> Self {
        Arc::make_mut(&mut self.0).insert(name, value);
        self
    }
}

impl FromIterator<(LabelName, LabelValue)> for Labels {
    fn from_iter<T: IntoIterator<Item = (LabelName, LabelValue)>>(labels: T) -> Self {
        Self(Arc::new(labels.into_iter().collect()))
    }
}

impl From<BTreeMap<LabelName, LabelValue>> for Labels {
    fn from(labels: BTreeMap<LabelName, LabelValue>) -> Self {
        Self(Arc::new(labels))
    }
}

impl From<Labels> for BTreeMap<LabelName, LabelValue> {
    fn from(labels: Labels) -> Self {
        Arc::unwrap_or_clone(labels.0)
    }
}

impl LabelName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for LabelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelName {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let mut cursor = Cursor::new("label name", text);
        let belongs =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        let name = cursor.word("a label's name", belongs)?;
        cursor.expect_end("a label's name", "lower-case letters, digits, '_' or '-'")?;
        if name.len() > 63 {
            return Err(cursor.error_at(63, "a label's name", "at most 63 characters"));
        }
        Ok(Self(name.into()))
    }
}

impl FromStr for LabelValue {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let mut cursor = Cursor::new("label value", text);
        let value = cursor.take_while(|c| !c.is_control());
        cursor.expect_end("a label's value", "no control characters")?;
        if value.is_empty() {
            return Err(cursor.error("a label's value", "at least one character"));
        }
        if value.len() > 255 {
            return Err(cursor.error_at(255, "a label's value", "at most 255 bytes"));
        }
        Ok(Self(value.into()))
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(LabelName);
serde_as_text!(LabelValue);
