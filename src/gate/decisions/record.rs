//! One decision, as it is handed over, and the line that it becomes. No query, no header, no secret is in it.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderValue, Method};
use portcullis_ca::serial::Serial;
use serde::Serialize;

use crate::domain::{
    Timestamp, denial::Denial, permit::Permit, principal::Principal, request_path::NormalisedPath,
};

/// A decision on its way to the log. It is made of what is at hand: nothing is written out before the writer does.
#[derive(Debug)]
pub(in crate::gate) struct Record {
    pub(in crate::gate) at: Timestamp,
    pub(in crate::gate) request_id: HeaderValue,
    pub(in crate::gate) peer: SocketAddr,
    pub(in crate::gate) method: Method,
    pub(in crate::gate) outcome: Outcome,
}

#[derive(Debug)]
pub(in crate::gate) enum Outcome {
    Permitted(Arc<Permitted>),
    Refused(Box<Refused>),
}

/// A request that may pass.
#[derive(Debug)]
pub(in crate::gate) struct Permitted {
    pub(in crate::gate) permit: Permit,
    /// As it was matched.
    pub(in crate::gate) path: NormalisedPath,
}

/// A request that may not.
#[derive(Debug)]
pub(in crate::gate) struct Refused {
    pub(in crate::gate) denial: Denial,
    /// As it came, without the query.
    pub(in crate::gate) path: String,
    pub(in crate::gate) principal: Option<Principal>,
    pub(in crate::gate) serial: Option<Serial>,
    pub(in crate::gate) epoch: u64,
}

/// The most octets that are logged of a path that was refused.
const LONGEST_PATH: usize = 1024;

/// The line.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    request_id: &'a str,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    epoch: u64,
    peer: SocketAddr,
}

/// A line that says that decisions are missing before it.
#[derive(Serialize)]
struct Missing {
    time: Timestamp,
    decision: &'static str,
    queue_full: u64,
    not_written: u64,
}

impl Record {
    /// Appends the line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let line = match &self.outcome {
            Outcome::Permitted(permitted) => {
                let permit = &permitted.permit;
                Line {
                    decision: "permit",
                    reason: None,
                    rule: permit.rule().to_string(),
                    principal: Some(permit.principal().to_string()),
                    serial: permit.certificate_serial().map(ToString::to_string),
                    api_key: permit.api_key().map(ToString::to_string),
                    scope: Some(permit.scope().to_string()),
                    path: permitted.path.as_str(),
                    route: Some(permit.route().index),
                    detail: None,
                    epoch: permit.epoch(),
                    ..self.line()
                }
            }
            Outcome::Refused(refused) => {
                let denial = &refused.denial;
                Line {
                    decision: "denial",
                    reason: Some(denial.reason().type_name()),
                    rule: denial.rule().to_string(),
                    principal: denial
                        .principal()
                        .or(refused.principal.as_ref())
                        .map(ToString::to_string),
                    serial: refused.serial.as_ref().map(ToString::to_string),
                    api_key: None,
                    scope: denial.missing_scope().map(ToString::to_string),
                    path: shortened(&refused.path),
                    route: None,
                    detail: Some(denial.audit_words()).filter(|words| !words.is_empty()),
                    epoch: refused.epoch,
                    ..self.line()
                }
            }
        };
        append(out, &line);
    }

    fn line(&self) -> Line<'_> {
        Line {
            time: self.at,
            request_id: self.request_id.to_str().unwrap_or_default(),
            decision: "",
            reason: None,
            rule: String::new(),
            principal: None,
            serial: None,
            api_key: None,
            scope: None,
            method: self.method.as_str(),
            path: "",
            route: None,
            detail: None,
            epoch: 0,
            peer: self.peer,
        }
    }
}

/// Appends the line that says how many decisions are missing.
pub(super) fn write_missing(out: &mut Vec<u8>, time: Timestamp, queue_full: u64, not_written: u64) {
    append(
        out,
        &Missing {
            time,
            decision: "missing",
            queue_full,
            not_written,
        },
    );
}

/// JSON escapes line ends, so a line is a line.
fn append(out: &mut Vec<u8>, line: &impl Serialize) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, line).is_err() {
        // Writing to memory does not fail, and the line has no map whose keys are no text.
        out.truncate(start);
        return;
    }
    out.push(b'\n');
}

fn shortened(path: &str) -> &str {
    let mut end = path.len().min(LONGEST_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}
