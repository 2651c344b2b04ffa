//! `portcullis cert list`: the inventory, as a table, JSON or CSV.

use std::process::ExitCode;

use crate::{
    api::{certificate::ShownCertificate, inventory::CertificatePage},
    cli::{
        Failure, Outcome,
        client::{Client, query},
        output,
    },
    domain::Principal,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Those of a principal
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<Principal>,
    /// Those with a DNS name, an address or a URI
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Those whose serial begins so
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Those of a profile: server, device or service
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Those of an issuer, by its name or its key
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Those that are valid, expired or revoked
    #[arg(long, visible_alias = "status", value_name = "STATE")]
    state: Option<String>,
    /// Those that are good now and expire before a time (2027-01-01T00:00:00Z) or within a duration (7d), the first one
    /// first
    #[arg(long, value_name = "TIME|WITHIN")]
    expiring_before: Option<String>,
    /// Those issued between two times, or between so long ago and so long ago: 7d..1d, 2027-01-01T00:00:00Z.. (either may
    /// be left out)
    #[arg(long, value_name = "FROM..UNTIL", value_parser = between)]
    issued_between: Option<Between>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
    /// What follows: the cursor that the page before gave
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// All of them, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print CSV (RFC 4180)
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Between(pub(super) Option<String>, pub(super) Option<String>);

pub(super) fn between(text: &str) -> Result<Between, String> {
    let (from, until) = text
        .split_once("..")
        .ok_or("write FROM..UNTIL, for example 7d..1d")?;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Between(some(from), some(until)))
}

/// The most certificates of one page of the server's.
const PAGE: usize = 1000;

pub(super) fn run(client: &Client, args: &ListArgs, as_json: bool) -> Outcome {
    let mut sheet = Sheet::begin(if args.csv {
        Format::Csv
    } else if as_json {
        Format::Json
    } else {
        Format::Table
    });
    let mut left = if args.all { usize::MAX } else { args.limit };
    let mut cursor = args.cursor.clone();
    while left > 0 {
        let page = page(client, args, cursor, left.min(PAGE))?;
        left = left.saturating_sub(page.certificates.len());
        for certificate in page.certificates {
            sheet.add(certificate)?;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    sheet.end();
    if let Some(cursor) = cursor {
        eprintln!("For more: --cursor {cursor}, or --all");
    }
    Ok(ExitCode::SUCCESS)
}

fn page(
    client: &Client,
    args: &ListArgs,
    cursor: Option<String>,
    limit: usize,
) -> Result<CertificatePage, Failure> {
    let (from, until) = args
        .issued_between
        .clone()
        .map_or((None, None), |Between(from, until)| (from, until));
    let query = query(&[
        (
            "principal",
            args.principal.as_ref().map(ToString::to_string),
        ),
        ("name", args.name.clone()),
        ("serial", args.serial.clone()),
        ("profile", args.profile.clone()),
        ("issuer", args.issuer.clone()),
        ("state", args.state.clone()),
        ("expiring_before", args.expiring_before.clone()),
        ("issued_from", from),
        ("issued_until", until),
        ("cursor", cursor),
        ("limit", Some(limit.to_string())),
    ]);
    client.get(&format!("/v1/certificates?{query}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Csv,
}

/// What is being printed. JSON and CSV go out certificate by certificate; a table must know all its rows.
struct Sheet {
    format: Format,
    count: usize,
    rows: Vec<Vec<String>>,
}

const CSV_COLUMNS: [&str; 13] = [
    "serial",
    "status",
    "profile",
    "principal",
    "names",
    "not_before",
    "not_after",
    "issued_at",
    "revoked_at",
    "revocation_reason",
    "issuer",
    "account",
    "sha256",
];

impl Sheet {
    fn begin(format: Format) -> Self {
        match format {
            Format::Csv => csv_line(CSV_COLUMNS.iter().map(|name| (*name).to_owned())),
            Format::Json => say!("["),
            Format::Table => {}
        }
        Self {
            format,
            count: 0,
            rows: Vec::new(),
        }
    }

    fn add(&mut self, certificate: ShownCertificate) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let text = serde_json::to_string(&certificate).map_err(Failure::new)?;
                let comma = if self.count == 0 { ' ' } else { ',' };
                say!("{comma} {text}");
            }
            Format::Csv => csv_line(csv_row(certificate).into_iter()),
            Format::Table => self.rows.push(vec![
                certificate.serial.to_string(),
                certificate.status,
                certificate.profile,
                certificate
                    .principal
                    .map_or_else(|| certificate.names.join(" "), |it| it.to_string()),
                certificate.not_after.to_string(),
            ]),
        }
        self.count += 1;
        Ok(())
    }

    fn end(&self) {
        match self.format {
            Format::Csv => {}
            Format::Json => say!("]"),
            Format::Table => output::table(
                &[
                    "SERIAL",
                    "STATUS",
                    "PROFILE",
                    "PRINCIPAL OR NAMES",
                    "NOT AFTER",
                ],
                &self.rows,
            ),
        }
    }
}

fn csv_row(certificate: ShownCertificate) -> [String; 13] {
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    [
        certificate.serial.to_string(),
        certificate.status,
        certificate.profile,
        or_empty(certificate.principal.map(|it| it.to_string())),
        certificate.names.join(" "),
        certificate.not_before.to_string(),
        certificate.not_after.to_string(),
        certificate.issued_at.to_string(),
        or_empty(certificate.revoked_at.map(|it| it.to_string())),
        or_empty(certificate.revocation_reason),
        certificate.issuer,
        or_empty(certificate.account),
        certificate.sha256,
    ]
}

fn csv_line(fields: impl Iterator<Item = String>) {
    let fields: Vec<String> = fields.map(|field| csv_field(&field)).collect();
    // RFC 4180 section 2: lines end with CRLF; the line feed is `say`'s.
    say!("{}\r", fields.join(","));
}

/// A field of CSV (RFC 4180 section 2). What a spreadsheet would take for a formula gets an apostrophe before it.
fn csv_field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if formula || text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_and_is_never_a_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("@SUM(1)", "\"'@SUM(1)\""),
            ("-1", "\"'-1\""),
            ("", ""),
        ] {
            assert_eq!(csv_field(text), written, "{text}");
        }
    }

    #[test]
    fn between_two_times_either_may_be_left_out() {
        for (text, from, until) in [
            ("7d..1d", Some("7d"), Some("1d")),
            ("7d..", Some("7d"), None),
            ("..1d", None, Some("1d")),
        ] {
            let Between(found_from, found_until) = between(text).expect(text);
            assert_eq!(
                (found_from.as_deref(), found_until.as_deref()),
                (from, until)
            );
        }
        assert!(between("7d").is_err());
    }
}
