//! `portcullis cert list|show|revoke|verify`.

use std::{io, process::ExitCode};

use clap::Subcommand;
use portcullis_ca::{revocation::RevocationReason, serial::Serial};

use super::{
    Failure, Outcome,
    client::{Client, query},
    output, verify,
};
use crate::{
    api::certificate::{CertificatesRevoked, RevokeCertificates, ShownCertificate},
    app::{StateDir, SystemClock},
    domain::{Clock, Principal},
};

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// List certificates, newest first
    List(ListArgs),
    /// Show a certificate
    Show {
        /// Its serial
        serial: Serial,
    },
    /// Revoke certificates; nobody gets in with them any more when this returns
    Revoke(RevokeArgs),
    /// Verify a certificate as the gate does
    Verify(verify::VerifyArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Those of a principal
    #[arg(long, value_name = "PRINCIPAL")]
    principal: Option<Principal>,
    /// Those of a profile: server, device or service
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Those that are valid, expired or revoked
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// Serials, or principals such as device:fra/sensor-42 (all their valid certificates)
    #[arg(required = true, value_name = "SERIAL|PRINCIPAL")]
    targets: Vec<String>,
    /// Why (RFC 5280 section 5.3.1); all but superseded end the enrolment as well, and keyCompromise blocks the key for
    /// ever
    #[arg(long, default_value = "unspecified", value_name = "REASON")]
    reason: RevocationReason,
}

pub(super) fn run(command: CertCommand, state: &StateDir, as_json: bool) -> Outcome {
    match command {
        CertCommand::List(args) => list(&Client::new(state)?, &args, as_json),
        CertCommand::Show { serial } => show(&Client::new(state)?, serial, as_json),
        CertCommand::Revoke(args) => revoke(&Client::new(state)?, args, as_json),
        CertCommand::Verify(mut args) => {
            args.json |= as_json;
            let verdict = verify::run(&args, SystemClock::default().now(), &mut io::stdout())
                .map_err(Failure::new)?;
            Ok(verdict.into())
        }
    }
}

fn list(client: &Client, args: &ListArgs, as_json: bool) -> Outcome {
    let query = query(&[
        (
            "principal",
            args.principal.as_ref().map(ToString::to_string),
        ),
        ("profile", args.profile.clone()),
        ("status", args.status.clone()),
        ("limit", Some(args.limit.to_string())),
    ]);
    let certificates: Vec<ShownCertificate> = client.get(&format!("/v1/certificates?{query}"))?;
    if as_json {
        output::json(&certificates)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|certificate| {
            vec![
                certificate.serial.to_string(),
                certificate.status.clone(),
                certificate.profile.clone(),
                certificate
                    .principal
                    .as_ref()
                    .map_or_else(|| certificate.names.join(" "), ToString::to_string),
                certificate.not_after.to_string(),
            ]
        })
        .collect();
    output::table(
        &[
            "SERIAL",
            "STATUS",
            "PROFILE",
            "PRINCIPAL OR NAMES",
            "NOT AFTER",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}

fn show(client: &Client, serial: Serial, as_json: bool) -> Outcome {
    let shown: ShownCertificate = client.get(&format!("/v1/certificates/{serial}"))?;
    if as_json {
        output::json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |name: &str, value: &str| say!("{name:<12} {value}");
    row("serial", &shown.serial.to_string());
    row("status", &shown.status);
    if let (Some(at), Some(reason)) = (shown.revoked_at, &shown.revocation_reason) {
        row("revoked", &format!("{at}, {reason}"));
    }
    row("profile", &shown.profile);
    if let Some(principal) = &shown.principal {
        row("principal", &principal.to_string());
    }
    for name in &shown.names {
        row("name", name);
    }
    row("not before", &shown.not_before.to_string());
    row("not after", &shown.not_after.to_string());
    row("issued", &shown.issued_at.to_string());
    row("issuer key", &shown.issuer);
    row("sha256", &shown.sha256);
    if let Some(account) = &shown.account {
        row("account", account);
    }
    if let Some(enrolment) = &shown.enrolment {
        row("enrolment", enrolment);
    }
    if let Some(pem) = &shown.pem {
        say!("{}", pem.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(client: &Client, args: RevokeArgs, as_json: bool) -> Outcome {
    let mut principal = None;
    let mut serials = Vec::new();
    for target in args.targets {
        if !target.contains('/') && target.parse::<Serial>().is_ok() {
            serials.push(target);
        } else {
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
    }
    let revoked: CertificatesRevoked = client.post(
        "/v1/certificates/revoke",
        &RevokeCertificates {
            serials,
            principal,
            reason: args.reason.name().to_owned(),
        },
    )?;
    if as_json {
        output::json(&revoked)?;
        return Ok(ExitCode::SUCCESS);
    }
    for serial in &revoked.serials {
        say!("Revoked {serial} ({})", args.reason);
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
    Ok(ExitCode::SUCCESS)
}
