//! `portcullis cert show SERIAL|FILE`: what is in a certificate, who asked for it, and what came before and after.

use std::{fs, process::ExitCode};

use portcullis_ca::{
    pki_types::{CertificateDer, pem::PemObject},
    serial::Serial,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::text;
use crate::{
    api::inventory::{AskedBy, CertificateInFull, Relative},
    cli::{Failure, Outcome, client::Client, output},
};

pub(super) fn run(client: &Client, what: &str, as_json: bool) -> Outcome {
    if let Ok(serial) = what.parse::<Serial>() {
        let shown: CertificateInFull = client.get(&format!("/v1/certificates/{serial}"))?;
        return print(&shown, as_json);
    }
    let der = read(what)?;
    let (_, parsed) = X509Certificate::from_der(&der)
        .map_err(|error| Failure::usage(format!("{what}: it is no certificate: {error}")))?;
    let serial = Serial::from_der_integer(parsed.raw_serial())
        .map_err(|error| Failure::usage(format!("{what}: {error}")))?;
    let known: Result<CertificateInFull, Failure> =
        client.get(&format!("/v1/certificates/{serial}"));
    let pem = portcullis_ca::certificate::to_pem(&der);
    match known {
        Ok(shown) if shown.certificate.pem.as_deref() == Some(&*pem) => print(&shown, as_json),
        Ok(_) | Err(Failure { code: 64, .. }) if !as_json => {
            say!("{}", text::certificate(&der).map_err(Failure::usage)?);
            say!("Not a certificate of this authority.");
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => Err(Failure::usage(format!(
            "{what} is not a certificate of this authority"
        ))),
        Err(failure) => Err(failure),
    }
}

/// A certificate's file: DER, or the first certificate of a PEM text.
pub(super) fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let octets = fs::read(path).map_err(|error| {
        Failure::usage(format!(
            "{path:?} is neither a serial (hexadecimal) nor a file that can be read: {error}"
        ))
    })?;
    // A DER SEQUENCE begins with 0x30, a PEM text does not.
    if octets.first() == Some(&0x30) {
        return Ok(octets);
    }
    CertificateDer::from_pem_slice(&octets)
        .map(|der| der.to_vec())
        .map_err(|_| Failure::usage(format!("{path}: there is no certificate in it")))
}

fn print(shown: &CertificateInFull, as_json: bool) -> Outcome {
    if as_json {
        output::json(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let certificate = &shown.certificate;
    if let Some(pem) = &certificate.pem {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Failure::new("the server's answer has no certificate"))?;
        say!("{}", text::certificate(&der).map_err(Failure::new)?);
    }
    let row = |name: &str, value: &str| say!("{name:<12} {value}");
    row("status", &certificate.status);
    if let (Some(at), Some(reason)) = (certificate.revoked_at, &certificate.revocation_reason) {
        row("revoked", &format!("{at}, {reason}"));
    }
    row("profile", &certificate.profile);
    if let Some(principal) = &certificate.principal {
        row("principal", &principal.to_string());
    }
    row("issued", &certificate.issued_at.to_string());
    let issuer = shown.issuer_name.as_deref().unwrap_or("unknown");
    row("issuer", &format!("{issuer}, key {}", certificate.issuer));
    row("sha256", &certificate.sha256);
    let url = shown.list_url.as_deref().unwrap_or("unknown");
    row("list", &format!("{}, {url}", shown.list_shard));
    match &shown.asked_by {
        AskedBy::Authority => row("asked by", "the authority itself"),
        AskedBy::Account {
            account,
            contacts,
            order,
            enrolment,
        } => {
            let contacts = if contacts.is_empty() {
                String::new()
            } else {
                format!(" ({})", contacts.join(", "))
            };
            row("asked by", &format!("ACME account {account}{contacts}"));
            if let Some(order) = order {
                row("order", order);
            }
            match enrolment {
                None => row("vouched by", "challenges"),
                Some(enrolment) => {
                    row(
                        "enrolment",
                        &format!("{}, since {}", enrolment.id, enrolment.began_at),
                    );
                    row("invitation", &enrolment.invitation);
                    if let Some(ended) = &enrolment.ended {
                        row("ended", ended);
                    }
                }
            }
        }
    }
    let renewal = &shown.renewal;
    if certificate.account.is_some() {
        let why = renewal.explanation_url.as_deref();
        let why = why.map_or_else(String::new, |url| format!(", see {url}"));
        row(
            "renewal",
            &format!("from {} to {}{why}", renewal.start, renewal.end),
        );
    }
    if let Some(serial) = &shown.replaces {
        row("replaces", serial);
    }
    if let Some(serial) = &shown.replaced_by {
        row("replaced by", serial);
    }
    let kin = |name: &str, all: &[Relative]| {
        for one in all {
            row(
                name,
                &format!(
                    "{}, issued {}, until {}, {}",
                    one.serial, one.issued_at, one.not_after, one.status
                ),
            );
        }
    };
    kin("before", &shown.predecessors);
    kin("after", &shown.successors);
    if let Some(pem) = &certificate.pem {
        say!("{}", pem.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
