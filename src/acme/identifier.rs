//! Identifiers as they stand in orders and authorizations (RFC 8555 section 9.7.7, RFC 8738, and
//! draft-ietf-acme-device-attest section 3), and how they become those of the domain.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::problem::{Problem, ProblemType, Subproblem};
use crate::domain::{
    identifier::{Identifier, InvalidIdentifier},
    order::MAX_IDENTIFIERS,
};

/// `{"type": ..., "value": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireIdentifier {
    /// `dns`, `ip`, `permanent-identifier`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the form that the type prescribes.
    pub value: String,
}

impl WireIdentifier {
    /// A name.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self {
            kind: "dns".into(),
            value: name.into(),
        }
    }

    fn parse(&self) -> Result<Identifier, Subproblem> {
        let refuse = |kind, detail: String| Subproblem {
            kind,
            detail,
            identifier: Some(self.clone()),
        };
        Identifier::parse(&self.kind, &self.value).map_err(|error| {
            let kind = match error {
                InvalidIdentifier::Unsupported(_) => ProblemType::UnsupportedIdentifier,
                InvalidIdentifier::Malformed { .. } => ProblemType::Malformed,
            };
            refuse(kind, error.to_string())
        })
    }
}

impl WireIdentifier {
    /// Reads the one identifier of a request.
    ///
    /// # Errors
    /// The type of the fault, with a subproblem.
    pub fn parse_alone(&self) -> Result<Identifier, Problem> {
        self.parse().map_err(|part| {
            Problem::new(part.kind, part.detail.clone()).with_subproblems(vec![part])
        })
    }
}

impl From<&Identifier> for WireIdentifier {
    fn from(identifier: &Identifier) -> Self {
        Self {
            kind: identifier.kind().into(),
            value: identifier.value(),
        }
    }
}

impl fmt::Display for WireIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// Reads the identifiers of an order: sorted, each once.
///
/// # Errors
/// `malformed` when there are none or more than [`MAX_IDENTIFIERS`]; for bad ones, the type of the fault with one
/// subproblem for each (RFC 8555 section 6.7.1).
pub fn parse_all(identifiers: &[WireIdentifier]) -> Result<Vec<Identifier>, Problem> {
    if identifiers.is_empty() || identifiers.len() > MAX_IDENTIFIERS {
        return Err(Problem::malformed(format!(
            "the order has {} identifiers; give 1 to {MAX_IDENTIFIERS}",
            identifiers.len()
        )));
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for identifier in identifiers {
        match identifier.parse() {
            Ok(identifier) => good.push(identifier),
            Err(subproblem) => bad.push(subproblem),
        }
    }
    match bad.as_slice() {
        [] => {
            good.sort();
            good.dedup();
            Ok(good)
        }
        [only] => Err(Problem::new(only.kind, only.detail.clone()).with_subproblems(bad)),
        [first, rest @ ..] => {
            let kind = if rest.iter().all(|part| part.kind == first.kind) {
                first.kind
            } else {
                ProblemType::Compound
            };
            let detail = format!(
                "{} of the identifiers can't be used; see the subproblems",
                bad.len()
            );
            Err(Problem::new(kind, detail).with_subproblems(bad))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(kind: &str, value: &str) -> WireIdentifier {
        WireIdentifier {
            kind: kind.into(),
            value: value.into(),
        }
    }

    #[test]
    fn names_are_lower_cased_sorted_and_taken_once() {
        let read = parse_all(&[
            wire("dns", "B.example"),
            wire("dns", "a.example"),
            wire("dns", "b.EXAMPLE"),
            wire("ip", "10.0.0.1"),
            wire("permanent-identifier", "fra/sensor-42"),
        ])
        .unwrap();
        assert_eq!(
            read.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "dns:a.example",
                "dns:b.example",
                "ip:10.0.0.1",
                "permanent-identifier:fra/sensor-42"
            ]
        );
    }

    #[test]
    fn bad_identifiers_are_refused_each_with_its_subproblem() {
        use ProblemType::{Compound, Malformed, UnsupportedIdentifier};
        let table = [
            (vec![], Malformed, vec![]),
            (
                vec![wire("dns", "a.example"); MAX_IDENTIFIERS + 1],
                Malformed,
                vec![],
            ),
            (
                vec![wire("email", "a@b.example")],
                UnsupportedIdentifier,
                vec![UnsupportedIdentifier],
            ),
            (
                vec![wire("dns", "bücher.example")],
                Malformed,
                vec![Malformed],
            ),
            (
                vec![wire("ip", "2001:0DB8::1"), wire("dns", "a")],
                Malformed,
                vec![Malformed],
            ),
            (
                vec![
                    wire("dns", "-"),
                    wire("email", "x"),
                    wire("dns", "good.example"),
                ],
                Compound,
                vec![Malformed, UnsupportedIdentifier],
            ),
        ];
        for (identifiers, kind, parts) in table {
            let problem = parse_all(&identifiers).unwrap_err();
            assert_eq!(problem.kind, kind, "{problem}");
            assert_eq!(
                problem
                    .subproblems
                    .iter()
                    .map(|part| part.kind)
                    .collect::<Vec<_>>(),
                parts
            );
        }
    }
}
