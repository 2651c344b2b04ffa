//! `portcullis ca sign`: a root whose key is not on the server signs a request, where its key is. It needs no server.

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

use portcullis_ca::{
    certificate::{Draft, IssuerCertificate, to_pem},
    csr::CertificateRequest,
    issuer_key_id::IssuerKeyId,
    key::{Signer as _, SigningKey},
    pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject},
    profile::{Profile, ProfileKind, Subject},
    serial::Serial,
};

use crate::{
    app::SystemClock,
    authority::{issuer_certificate_url, list_url},
    cli::{Failure, Outcome, block_on, passphrase::PassphraseArgs},
    domain::{Clock as _, duration::WrittenDuration},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SignArgs {
    /// The request (PEM), from portcullis ca request
    request: PathBuf,
    /// The root's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The root's private key (PKCS#8 in PEM), from portcullis ca root export
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// How long the certificate is good for, at most as long as the root's
    #[arg(long, default_value = "1095d", value_name = "DURATION")]
    lifetime: WrittenDuration,
}

pub(in crate::cli) fn run(args: &SignArgs) -> Outcome {
    let root = read_root(&args.certificate)?;
    let key = read_key(&args.key, &args.passphrase)?;
    if key.public_key() != root.public_key() {
        return Err(Failure::usage(format!(
            "{} is not the key of {}",
            args.key.display(),
            args.certificate.display()
        )));
    }
    let of_request = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {error}", args.request.display()))
    };
    let pem = fs::read(&args.request).map_err(|error| of_request(&error))?;
    let der = CertificateSigningRequestDer::from_pem_slice(&pem)
        .map_err(|_| of_request(&"it is no PEM request (-----BEGIN CERTIFICATE REQUEST-----)"))?;
    let request = CertificateRequest::from_der(&der).map_err(|error| of_request(&error))?;
    let [common_name] = request.common_names() else {
        return Err(of_request(&"it must name one common name, and no more"));
    };
    let profile = Profile {
        lifetime: args.lifetime.0,
        ..Profile::default_for(ProfileKind::Intermediate)
    };
    let now = SystemClock::default().now().unix_seconds();
    let validity = profile.validity(now, root.not_after());
    let mut draft = Draft::new(
        Arc::new(profile),
        Serial::random().map_err(Failure::new)?,
        request.public_key().clone(),
        validity,
    );
    draft.subject = Subject::CommonName(common_name.clone());
    let public_url = public_url(&root)?;
    let id = IssuerKeyId::of(root.public_key().subject_public_key_info());
    draft.revocation_list = Some(list_url(&public_url, &id, 0));
    draft.issuer_certificate = Some(issuer_certificate_url(&public_url, &id));
    let checked = draft.check(Some(&root)).map_err(Failure::new)?;
    let certificate = block_on(checked.sign(&key))?.map_err(Failure::new)?;
    say!("{}", to_pem(certificate.der()).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Reads a root's certificate.
pub(super) fn read_root(file: &PathBuf) -> Result<IssuerCertificate, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let pem = fs::read(file).map_err(|error| failed(&error))?;
    let der = CertificateDer::from_pem_slice(&pem)
        .map_err(|_| failed(&"it is no PEM certificate (-----BEGIN CERTIFICATE-----)"))?;
    IssuerCertificate::from_der(&der).map_err(|error| failed(&error))
}

/// Reads a private key, which nobody but its owner may be able to read.
pub(super) fn read_key(file: &PathBuf, passphrase: &PassphraseArgs) -> Result<SigningKey, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let pem = zeroize::Zeroizing::new(fs::read_to_string(file).map_err(|error| failed(&error))?);
    let passphrase = passphrase.read("passphrase of the root's key")?;
    SigningKey::from_pkcs8_pem(&pem, passphrase.as_ref().map(|phrase| phrase.as_slice()))
        .map_err(|error| failed(&error))
}

/// Where the authority's lists are, as the root's own certificate says.
fn public_url(root: &IssuerCertificate) -> Result<String, Failure> {
    root.revocation_list()
        .and_then(|url| url.split_once("/crl/"))
        .map(|(public_url, _)| public_url.to_owned())
        .ok_or_else(|| {
            Failure::usage("the root's certificate does not say where its list is; portcullis made another one")
        })
}
