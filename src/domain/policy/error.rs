//! What is wrong with a policy document, and where.

use std::{fmt, ops::Range};

/// One thing that is wrong, or with `Policy::warnings` probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with a document, in its order; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(Vec<PolicyError>);

/// Collects what is wrong while a document is read and checked.
pub(super) struct Report<'t> {
    text: &'t str,
    errors: Vec<PolicyError>,
    warnings: Vec<PolicyError>,
}

impl PolicyErrors {
    /// The errors, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.0.iter()
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> Option<&PolicyError> {
        self.0.first()
    }
}

impl<'t> Report<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self {
            text,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, span: &Range<usize>, message: impl fmt::Display) {
        let error = self.locate(span.start, message);
        self.errors.push(error);
    }

    /// An error `offset` bytes into the string value at `span`, as exactly as its spelling allows: escapes move what
    /// follows them, so then the value's beginning has to do.
    pub(super) fn error_within(
        &mut self,
        span: &Range<usize>,
        value: &str,
        offset: usize,
        message: impl fmt::Display,
    ) {
        let written = self.text.get(span.clone()).unwrap_or_default();
        let at = match written.find(value) {
            Some(quotes) if !value.is_empty() => span.start + quotes + offset,
            Some(_) | None => span.start,
        };
        let error = self.locate(at, message);
        self.errors.push(error);
    }

    pub(super) fn warning(&mut self, span: &Range<usize>, message: impl fmt::Display) {
        let warning = self.locate(span.start, message);
        self.warnings.push(warning);
    }

    /// The line of a place, for messages that name a second one.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.locate(span.start, "").line
    }

    fn locate(&self, offset: usize, message: impl fmt::Display) -> PolicyError {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        PolicyError {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.to_string(),
        }
    }

    /// The warnings, if there are no errors.
    pub(super) fn finish(mut self) -> Result<Vec<PolicyError>, PolicyErrors> {
        if self.errors.is_empty() {
            self.warnings.sort();
            Ok(self.warnings)
        } else {
            self.errors.sort();
            Err(PolicyErrors(self.errors))
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for error in &self.0 {
            write!(f, "{separator}{error}")?;
            separator = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}
