//! `portcullis cert revoke`: by serial, file, principal, issuer, key or query, and what the store never saw.

use std::{fs, path::PathBuf, process::ExitCode};

use aws_lc_rs::digest;
use portcullis_ca::{
    certificate::to_pem,
    pki_types::{
        CertificateDer, CertificateSigningRequestDer, SubjectPublicKeyInfoDer, pem::PemObject,
    },
    revocation::RevocationReason,
    serial::Serial,
};
use x509_parser::{
    certificate::X509Certificate, certification_request::X509CertificationRequest, prelude::FromDer,
};

use super::{list::Between, list::between, show::read};
use crate::{
    api::revocation::{CertificatesRevoked, RevokeCertificates},
    cli::{Failure, Outcome, client::Client, output},
    domain::Principal,
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portcullis cert revoke 3f9a04…                          one certificate\n  portcullis cert revoke device:fra/sensor-42              all of a device; it must be invited again\n  portcullis cert revoke --file leaf.pem --reason superseded\n  portcullis cert revoke --profile device --issued-between 2027-01-01T00:00:00Z..1d --dry-run\n  portcullis cert revoke --key-file leaked.pub --reason keyCompromise    and the key is refused for ever\n  portcullis cert revoke --issuer intermediate --yes       everything that it issued\n  portcullis cert revoke --unseen --issuer intermediate --serial 3f9a04…   one that the store never saw\n\nConditions are combined: what meets all of them is revoked. CAs and OCSP responders never: they are revoked by serial."
)]
pub(in crate::cli) struct RevokeArgs {
    /// Serials, or a principal such as device:fra/sensor-42 (all its valid certificates)
    #[arg(value_name = "SERIAL|PRINCIPAL")]
    targets: Vec<String>,
    /// Certificates by their serials
    #[arg(long, value_name = "HEX")]
    serial: Vec<Serial>,
    /// Certificates by their files, PEM or DER
    #[arg(long, value_name = "FILE")]
    file: Vec<String>,
    /// All valid ones of a principal
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<Principal>,
    /// All valid ones of an issuer, by its name or its key
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// All with a key, by the SHA-256 of its SubjectPublicKeyInfo
    #[arg(long, value_name = "SHA256")]
    key: Option<String>,
    /// All with a key, by a file with it: a public key, a request or a certificate
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    key_file: Option<PathBuf>,
    /// All valid ones of a profile: server, device, service
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// All valid ones issued between two times, or between so long ago and so long ago: 7d..1d, 2027-01-01T00:00:00Z..
    /// (either may be left out)
    #[arg(long, value_name = "FROM..UNTIL", value_parser = between)]
    issued_between: Option<Between>,
    /// What is named may be such as the store never saw: by --file, or by --issuer and --serial
    #[arg(long)]
    unseen: bool,
    /// Why (RFC 5280 section 5.3.1); all but superseded end the enrolment as well, and keyCompromise blocks the key for
    /// ever
    #[arg(long, default_value = "unspecified", value_name = "REASON")]
    reason: RevocationReason,
    /// Only tell how many it would be, and the first of them
    #[arg(long)]
    dry_run: bool,
    /// Go ahead though conditions are met by more than 100
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(client: &Client, args: RevokeArgs, as_json: bool) -> Outcome {
    let reason = args.reason;
    let revoked: CertificatesRevoked = client.post("/v1/certificates/revoke", &wanted(args)?)?;
    if as_json {
        output::json(&revoked)?;
        return Ok(ExitCode::SUCCESS);
    }
    if revoked.dry_run {
        say!("Would revoke {} certificate(s) ({reason})", revoked.count);
        for serial in &revoked.serials {
            say!("  {serial}");
        }
        let rest = revoked.count.saturating_sub(revoked.serials.len() as u64);
        if rest > 0 && !revoked.serials.is_empty() {
            say!("  and {rest} more");
        }
    } else if revoked.count > 100 {
        say!("Revoked {} certificates ({reason})", revoked.count);
    } else {
        for serial in &revoked.serials {
            say!("Revoked {serial} ({reason})");
        }
    }
    for serial in &revoked.already_revoked {
        say!("{serial} was revoked already");
    }
    if revoked.enrolments_ended > 0 {
        say!(
            "{} enrolment(s) ended: to come back, a device must be invited again",
            revoked.enrolments_ended
        );
    }
    if revoked.keys_blocked > 0 {
        say!("{} key(s) are refused for ever", revoked.keys_blocked);
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: RevokeArgs) -> Result<RevokeCertificates, Failure> {
    let mut principal = args.principal;
    let mut serials: Vec<String> = args.serial.iter().map(ToString::to_string).collect();
    for target in args.targets {
        if !target.contains('/') && target.parse::<Serial>().is_ok() {
            serials.push(target);
            continue;
        }
        let parsed: Principal = target.parse().map_err(|error| {
            Failure::usage(format!(
                "{target:?} is neither a serial (hexadecimal) nor a principal: {error}"
            ))
        })?;
        if principal.replace(parsed).is_some() {
            return Err(Failure::usage(
                "one principal at a time; serials may be many",
            ));
        }
    }
    let certificates = args
        .file
        .iter()
        .map(|path| read(path).map(|der| to_pem(&der)))
        .collect::<Result<_, _>>()?;
    let key = match &args.key_file {
        Some(path) => Some(fingerprint(path)?),
        None => args.key,
    };
    let Between(issued_from, issued_before) = args.issued_between.unwrap_or(Between(None, None));
    Ok(RevokeCertificates {
        serials,
        certificates,
        principal,
        issuer: args.issuer,
        key,
        profile: args.profile,
        issued_from,
        issued_before,
        unseen: args.unseen,
        reason: args.reason.name().to_owned(),
        dry_run: args.dry_run,
        yes: args.yes,
    })
}

/// SHA-256 of the SubjectPublicKeyInfo in a file. Whether it is a key that we would certify does not matter here.
fn fingerprint(path: &PathBuf) -> Result<String, Failure> {
    let at = |what: &str| Failure::usage(format!("{}: {what}", path.display()));
    let octets = fs::read(path).map_err(|error| at(&error.to_string()))?;
    let of = |octets: &[u8]| hex::encode(digest::digest(&digest::SHA256, octets));
    let unreadable = |_| at("it can't be read");
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(&octets) {
        return Ok(of(&key));
    }
    if let Ok(request) = CertificateSigningRequestDer::from_pem_slice(&octets) {
        let (_, request) = X509CertificationRequest::from_der(&request).map_err(unreadable)?;
        return Ok(of(request.certification_request_info.subject_pki.raw));
    }
    if let Ok(certificate) = CertificateDer::from_pem_slice(&octets) {
        let (_, certificate) = X509Certificate::from_der(&certificate).map_err(unreadable)?;
        return Ok(of(certificate.tbs_certificate.subject_pki.raw));
    }
    Err(at(
        "it holds no PEM block of a public key, a request or a certificate",
    ))
}
