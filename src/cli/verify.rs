//! `portcullis cert verify`: the gate's own path validation, on files.
//!
//! The limits on how much is looked at are wider than a handshake's ([`Limits::FILES`]); every check is the same.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use portcullis_ca::{
    chain::{
        self, Anchor, Anchors, ChainError, Limits, NoRevocationSource, Place, Requirements,
        RevocationStatus, UnknownStatus, VerifiedPath,
    },
    list::{ListIssuer, ListSet, RevocationList},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, UnixTime,
        pem::{self, PemObject},
    },
};
use serde_json::{Value, json};

use crate::domain::clock::Timestamp;

/// What `portcullis cert verify` is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// A file of trust anchors: PEM (any number of certificates) or DER; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    pub anchor: Vec<PathBuf>,
    /// A file of certificates that may help to find a path; may be given several times
    #[arg(long, value_name = "FILE")]
    pub untrusted: Vec<PathBuf>,
    /// A file of revocation lists; may be given several times. With it, a certificate (but for the anchor) that no
    /// valid list covers is refused
    #[arg(long, value_name = "FILE")]
    pub crl: Vec<PathBuf>,
    /// The time to verify for, in seconds since 1970; now if it isn't given
    #[arg(long, value_name = "UNIX-TIME", value_parser = clap::value_parser!(i64).range(0..))]
    pub at: Option<i64>,
    /// Print JSON: the command line's global `--json`
    #[arg(skip)]
    pub json: bool,
    /// The client's certificate; certificates after it in the same file are used like --untrusted
    #[arg(value_name = "LEAF")]
    pub leaf: PathBuf,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The gate would take the chain.
    Accepted,
    /// It would not, or a file can't be read.
    Refused,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::SUCCESS,
            Verdict::Refused => Self::FAILURE,
        }
    }
}

/// Verifies, and writes the outcome with its reason to `out`.
///
/// # Errors
/// Only when `out` can't be written to. What is wrong with a file or a chain is an outcome.
pub fn run(args: &VerifyArgs, now: Timestamp, out: &mut dyn Write) -> io::Result<Verdict> {
    let (verdict, report) = match verify(args, now) {
        Ok(path) => (Verdict::Accepted, accepted(&args.leaf, &path)),
        Err(refusal) => (Verdict::Refused, refusal.report(&args.leaf)),
    };
    if args.json {
        writeln!(out, "{:#}", report.json)?;
    } else {
        writeln!(out, "{}", report.text)?;
    }
    Ok(verdict)
}

fn verify(args: &VerifyArgs, now: Timestamp) -> Result<VerifiedPath, Refusal> {
    let mut chain = read_files::<CertificateDer<'_>>(std::slice::from_ref(&args.leaf))?;
    let leaf = chain.remove(0).object;
    chain.extend(read_files(&args.untrusted)?);
    let trusted = read_files::<CertificateDer<'_>>(&args.anchor)?;
    let issuers = trusted.iter().chain(&chain).map(|it| &it.object);
    let lists = read_lists(&args.crl, issuers)?;
    let anchors = trusted
        .into_iter()
        .map(|Named { name, object }| Anchor {
            id: name,
            certificate: object,
        })
        .collect();
    let anchors = Anchors::new(anchors).map_err(|error| Refusal::Input(error.to_string()))?;
    let (names, presented): (Vec<_>, Vec<_>) =
        chain.into_iter().map(|it| (it.name, it.object)).unzip();
    let (revocation, unknown_status): (&dyn RevocationStatus, _) = if args.crl.is_empty() {
        (&NoRevocationSource, UnknownStatus::Allow)
    } else {
        (&lists, UnknownStatus::Deny)
    };
    let requirements = Requirements {
        limits: Limits::FILES,
        unknown_status,
    };
    let seconds = args.at.unwrap_or(now.unix_seconds());
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    chain::verify(&leaf, &presented, &anchors, revocation, &requirements, at)
        .map_err(|error| Refusal::Chain { error, names })
}

/// Lists whose issuer is not among the certificates at hand can't be verified, and are no lists.
fn read_lists<'a>(
    files: &[PathBuf],
    certificates: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> Result<ListSet, Refusal> {
    if files.is_empty() {
        return Ok(ListSet::default());
    }
    // One that can't be read has issued no list; if the path needs it, the path says so.
    let issuers: Vec<_> = certificates
        .filter_map(|certificate| ListIssuer::from_certificate(certificate).ok())
        .collect();
    read_files::<CertificateRevocationListDer<'_>>(files)?
        .into_iter()
        .map(|Named { name, object }| {
            RevocationList::from_der_of_any(&object, &issuers)
                .map_err(|error| Refusal::Input(format!("{name}: {error}")))
        })
        .collect()
}

/// Something of a file, and where it stood.
struct Named<T> {
    name: String,
    object: T,
}

fn read_files<T: PemObject + From<Vec<u8>>>(files: &[PathBuf]) -> Result<Vec<Named<T>>, Refusal> {
    let mut objects = Vec::new();
    for file in files {
        let input =
            |reason: &dyn fmt::Display| Refusal::Input(format!("{}: {reason}", file.display()));
        let octets = fs::read(file).map_err(|error| input(&error))?;
        // A DER SEQUENCE; no PEM text begins with the digit 0.
        if octets.first() == Some(&0x30) {
            let name = file.display().to_string();
            let object = T::from(octets);
            objects.push(Named { name, object });
            continue;
        }
        let blocks = T::pem_slice_iter(&octets)
            .collect::<Result<Vec<_>, pem::Error>>()
            .map_err(|error| input(&error))?;
        if blocks.is_empty() {
            return Err(input(
                &"there is nothing of the kind in it that is wanted here, neither as PEM nor as DER",
            ));
        }
        let several = blocks.len() > 1;
        objects.extend(blocks.into_iter().enumerate().map(|(index, object)| Named {
            name: if several {
                format!("{} (block {})", file.display(), index + 1)
            } else {
                file.display().to_string()
            },
            object,
        }));
    }
    Ok(objects)
}

/// What is printed.
struct Report {
    text: String,
    json: Value,
}

fn accepted(leaf: &Path, path: &VerifiedPath) -> Report {
    let certificate = path.leaf();
    let time = |time: UnixTime| {
        Timestamp::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).to_string()
    };
    let names = &certificate.names;
    let all: Vec<String> = names
        .uri
        .iter()
        .map(|uri| format!("uri:{uri}"))
        .chain(names.dns.iter().map(|name| format!("dns:{name}")))
        .chain(names.ip.iter().map(|address| format!("ip:{address}")))
        .collect();
    let text = format!(
        "{}: accepted\n  names   {}\n  serial  {}\n  anchor  {}\n  valid   {} to {} (the whole chain)",
        leaf.display(),
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(" ")
        },
        certificate.serial,
        path.anchor_id(),
        time(path.valid_from()),
        time(path.valid_until()),
    );
    let json = json!({
        "accepted": true,
        "anchor": &**path.anchor_id(),
        "issuer": path.issuer().to_string(),
        "serial": certificate.serial.to_string(),
        "names": all,
        "not_before": time(certificate.not_before),
        "not_after": time(certificate.not_after),
        "valid_from": time(path.valid_from()),
        "valid_until": time(path.valid_until()),
        "thumbprint_sha256": hex::encode(certificate.thumbprint),
    });
    Report { text, json }
}

/// Why not.
enum Refusal {
    /// A file, or what is in it.
    Input(String),
    /// The chain; `names` says where each certificate after the leaf came from.
    Chain {
        error: ChainError,
        names: Vec<String>,
    },
}

impl Refusal {
    fn report(&self, leaf: &Path) -> Report {
        let (certificate, category, reason) = match self {
            Self::Input(reason) => (None, "input", reason.clone()),
            Self::Chain { error, names } => {
                let certificate = match &error.place {
                    Place::Leaf => Some(leaf.display().to_string()),
                    Place::Presented(index) => names.get(*index).cloned(),
                    Place::Anchor(id) => Some(id.clone()),
                    Place::Chain => None,
                };
                let category = error.category().name();
                (certificate, category, error.fault.to_string())
            }
        };
        let place = match &certificate {
            Some(certificate) => format!("{certificate}: "),
            None => String::new(),
        };
        Report {
            text: format!("{}: refused: {place}{reason} [{category}]", leaf.display()),
            json: json!({
                "accepted": false,
                "category": category,
                "certificate": certificate,
                "reason": reason,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
