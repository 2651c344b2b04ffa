//! The file of the configuration, and its faults: where, and what would be right.

use std::{
    fmt,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

/// A fault of the file: where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The file as it was read.
#[derive(Clone)]
pub struct ConfigText {
    file: PathBuf,
    text: Arc<str>,
}

impl ConfigText {
    /// A value that can't work, by the path of its key.
    #[must_use]
    pub fn fault(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        self.source().fault(key, message)
    }

    /// Whether a key stands in the file.
    #[must_use]
    pub fn says(&self, key: &str) -> bool {
        self.source().find(key).is_some_and(|(_, is_it)| is_it)
    }

    fn source(&self) -> Source<'_> {
        Source::new(&self.text, &self.file)
    }
}

impl From<&Source<'_>> for ConfigText {
    fn from(source: &Source<'_>) -> Self {
        Self {
            file: source.file.to_owned(),
            text: source.text.into(),
        }
    }
}

impl fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigText({})", self.file.display())
    }
}

/// The file, for errors that say where.
pub(super) struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, file: &'a Path) -> Self {
        Self { text, file }
    }

    pub(super) fn unreadable(&self, error: &toml::de::Error) -> ConfigError {
        let mut message = error.message().to_owned();
        if let Some(nearest) = nearest_key(&message) {
            message = format!("{message}; did you mean `{nearest}`?");
        }
        self.at(error.span(), message)
    }

    /// A value that can't work, by the path of its key.
    pub(super) fn fault(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        self.at(self.span_of(key), format!("{key}: {message}"))
    }

    pub(super) fn address(&self, key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
        text.parse().map_err(|_| {
            self.fault(
                key,
                format!("{text:?} is no address with a port; for example 127.0.0.1:8444, or 0.0.0.0:8444 for all interfaces"),
            )
        })
    }

    fn at(&self, span: Option<Range<usize>>, message: String) -> ConfigError {
        let place = span.and_then(|span| {
            let before = self.text.get(..span.start)?;
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Some((
                before.matches('\n').count() + 1,
                before[line_start..].chars().count() + 1,
            ))
        });
        ConfigError {
            file: self.file.to_owned(),
            place,
            message,
        }
    }

    /// Where a key, or the innermost table on the way to it, stands.
    fn span_of(&self, path: &str) -> Option<Range<usize>> {
        self.find(path).map(|(span, _)| span)
    }

    /// Where it stands, and whether it is the very key.
    fn find(&self, path: &str) -> Option<(Range<usize>, bool)> {
        let document = DeTable::parse(self.text).ok()?;
        let mut table = document.get_ref();
        let mut span = None;
        let mut keys = path.split('.');
        while let Some(key) = keys.next() {
            let Some((name, value)) = table
                .iter()
                .find(|(name, _)| name.get_ref().as_ref() == key)
            else {
                return span.map(|span| (span, false));
            };
            span = Some(name.span());
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                // `[[name]]`: the next part of the path is a number, from 0.
                DeValue::Array(items) => {
                    let index = keys.next();
                    let item = index
                        .and_then(|index| index.parse::<usize>().ok())
                        .and_then(|index| items.get(index));
                    match item.map(|item| (item.span(), item.get_ref())) {
                        Some((at, DeValue::Table(inner))) => {
                            span = Some(at);
                            table = inner;
                        }
                        Some(_) | None => return span.map(|span| (span, index.is_none())),
                    }
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_) => return span.map(|span| (span, keys.next().is_none())),
            }
        }
        span.map(|span| (span, true))
    }
}

/// The known key that is nearest to the unknown one of serde's message "unknown field `x`, expected one of `a`, `b`".
fn nearest_key(message: &str) -> Option<&str> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") {
        return None;
    }
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, known)| known)
}
