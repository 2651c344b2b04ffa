//! `portcullis ca root export|crl`: the root's key goes offline after the ceremony, and signs its lists where it is.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use portcullis_ca::{
    certificate::IssuerCertificate,
    key::{Signer as _, SigningKey},
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    path,
    sign::{read_key, read_root},
};
use crate::{
    api::{
        issuer::ShownIssuer,
        list::ShownList,
        root_key::{ExportKey, KeyExported, RemoveKey, ShownDraft, SignedList},
    },
    cli::{
        Failure, Outcome, block_on,
        client::{Client, query},
        output,
        passphrase::PassphraseArgs,
    },
    domain::{
        duration::WrittenDuration,
        issuer::{IssuerRole, IssuerState},
    },
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RootCommand {
    /// Take a root's key off this server: sign a list that outlasts the next ceremony, write the key sealed into a file,
    /// and remove it here. The authority works on without it
    Export(ExportArgs),
    /// Make the list of a root whose key is offline. In one go with --key where the key can come to the server's machine;
    /// else in three: --draft here, `ca root sign-crl` where the key is, --publish here
    Crl(CrlArgs),
    /// Sign a draft of a list where the root's key is; it needs no server
    SignCrl(SignCrlArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The root's name [default: the root that issues]
    name: Option<String>,
    /// Where the sealed key goes; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// How long its list is to be good: longer than until the next ceremony
    #[arg(long, default_value = "400d", value_name = "DURATION")]
    next_ceremony: WrittenDuration,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Args)]
#[group(id = "how", required = true, multiple = false)]
pub(in crate::cli) struct How {
    /// Sign with this key (PKCS#8 in PEM); the server doesn't get it
    #[arg(long, value_name = "FILE", group = "how")]
    key: Option<PathBuf>,
    /// Write what is to be signed into this file
    #[arg(long, value_name = "FILE", group = "how")]
    draft: Option<PathBuf>,
    /// Publish the list that was signed
    #[arg(long, value_name = "FILE", group = "how")]
    publish: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CrlArgs {
    /// The root's name [default: the root that issues]
    name: Option<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// How long the list is to be good: longer than until the next ceremony
    #[arg(long, default_value = "400d", value_name = "DURATION")]
    next_ceremony: WrittenDuration,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SignCrlArgs {
    /// The draft, from portcullis ca root crl --draft
    draft: PathBuf,
    /// The root's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The root's private key (PKCS#8 in PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Where the list goes (DER)
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(in crate::cli) fn run(
    command: RootCommand,
    client: impl Fn() -> Result<Client, Failure>,
    as_json: bool,
) -> Outcome {
    match command {
        RootCommand::Export(args) => export(&client()?, &args, as_json),
        RootCommand::Crl(args) => crl(&client()?, &args, as_json),
        RootCommand::SignCrl(args) => sign_crl(&args),
    }
}

fn export(client: &Client, args: &ExportArgs, as_json: bool) -> Outcome {
    let name = root_name(client, args.name.as_ref())?;
    let passphrase = args
        .passphrase
        .read_new("passphrase that seals the root's key")?
        .ok_or_else(|| {
            Failure::usage(
                "a root's key leaves this server only sealed; say where the passphrase comes from, for example \
                 --passphrase-prompt",
            )
        })?;
    if args.to.exists() {
        return Err(Failure::usage(format!(
            "{} exists; a key is never written over another file",
            args.to.display()
        )));
    }
    let text = std::str::from_utf8(&passphrase)
        .map_err(|_| Failure::usage("the passphrase is not UTF-8"))?;
    let seconds = args.next_ceremony.0.as_secs();
    let exported: KeyExported = client.post(
        &path(&name, "export-key")?,
        &ExportKey {
            passphrase: text.to_owned(),
            next_ceremony_seconds: seconds,
        },
    )?;
    let key = zeroize::Zeroizing::new(exported.key);
    write_secret(&args.to, key.as_bytes())?;
    // What was written opens, before the only other copy goes.
    let written = zeroize::Zeroizing::new(fs::read_to_string(&args.to).map_err(Failure::new)?);
    SigningKey::from_pkcs8_pem(&written, Some(&passphrase)).map_err(Failure::new)?;
    let removed: ShownIssuer = client.post(
        &path(&name, "remove-key")?,
        &RemoveKey {
            next_ceremony_seconds: seconds,
        },
    )?;
    if as_json {
        output::json(&removed)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "The key of {} is in {}, sealed, and no longer here",
        name,
        args.to.display()
    );
    say!(
        "Its list is good until {}; before that: portcullis ca root crl {}",
        exported.list_until,
        name
    );
    say!(
        "portcullis doctor warns in time. Move the file to where the key is to be kept, and check that it opens there"
    );
    Ok(ExitCode::SUCCESS)
}

fn crl(client: &Client, args: &CrlArgs, as_json: bool) -> Outcome {
    let name = root_name(client, args.name.as_ref())?;
    let draft = || -> Result<ShownDraft, Failure> {
        let life = args.next_ceremony.0.as_secs().to_string();
        let query = query(&[("life_seconds", Some(life))]);
        client.get(&format!("{}?{query}", path(&name, "list-draft")?))
    };
    if let Some(file) = &args.how.draft {
        let text = serde_json::to_vec_pretty(&draft()?).map_err(Failure::new)?;
        fs::write(file, text).map_err(|error| at(file, &error))?;
        say!("Wrote {}; sign it where the key is:", file.display());
        say!(
            "  portcullis ca root sign-crl {} --certificate root.pem --key FILE --passphrase-prompt --to root.crl",
            file.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let der = if let Some(file) = &args.how.publish {
        fs::read(file).map_err(|error| at(file, &error))?
    } else {
        let issuer: ShownIssuer = client.get(path(&name, "")?.trim_end_matches('/'))?;
        let certificate = certificate_of(&issuer)?;
        let key = read_key(
            args.how
                .key
                .as_ref()
                .ok_or_else(|| Failure::usage("--key FILE"))?,
            &args.passphrase,
        )?;
        sign(&draft()?, &certificate, &key)?
    };
    let list: ShownList = client.post(
        &path(&name, "list")?,
        &SignedList {
            der: STANDARD.encode(der),
        },
    )?;
    if as_json {
        output::json(&list)?;
    } else {
        say!(
            "Published list number {} of {}, good until {}",
            list.number,
            name,
            list.next_update
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The root that was named, else the one that issues.
fn root_name(client: &Client, named: Option<&String>) -> Result<String, Failure> {
    if let Some(name) = named {
        return Ok(name.clone());
    }
    let issuers: Vec<ShownIssuer> = client.get("/v1/issuers")?;
    issuers
        .iter()
        .find(|issuer| issuer.role == IssuerRole::Root && issuer.state == IssuerState::Active)
        .map(|issuer| issuer.name.to_string())
        .ok_or_else(|| Failure::usage("no root issues; name one: portcullis ca list"))
}

fn sign_crl(args: &SignCrlArgs) -> Outcome {
    let text = fs::read(&args.draft).map_err(|error| at(&args.draft, &error))?;
    let draft: ShownDraft =
        serde_json::from_slice(&text).map_err(|error| at(&args.draft, &error))?;
    let root = read_root(&args.certificate)?;
    let key = read_key(&args.key, &args.passphrase)?;
    let der = sign(&draft, &root, &key)?;
    fs::write(&args.to, der).map_err(|error| at(&args.to, &error))?;
    say!(
        "Wrote {}; publish it on the server: portcullis ca root crl {} --publish {}",
        args.to.display(),
        draft.issuer,
        args.to.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn sign(
    draft: &ShownDraft,
    root: &IssuerCertificate,
    key: &SigningKey,
) -> Result<Vec<u8>, Failure> {
    if key.public_key() != root.public_key() {
        return Err(Failure::usage(format!(
            "the key is not that of {}",
            draft.issuer
        )));
    }
    let checked = draft.draft().check(root).map_err(Failure::new)?;
    block_on(checked.sign(key))?.map_err(Failure::new)
}

fn certificate_of(issuer: &ShownIssuer) -> Result<IssuerCertificate, Failure> {
    let pem = issuer.pem.as_deref().unwrap_or_default();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(Failure::new)?;
    IssuerCertificate::from_der(&der).map_err(Failure::new)
}

fn write_secret(file: &Path, contents: &[u8]) -> Result<(), Failure> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| {
            open.write_all(contents)?;
            open.sync_all()?;
            // Its name too: the only other copy of the key goes next.
            let directory = file.parent().filter(|it| !it.as_os_str().is_empty());
            File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
        })
        .map_err(|error| at(file, &error))
}

fn at(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}
