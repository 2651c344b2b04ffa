//! A certificate in words, line for line as `openssl x509 -text` has it wherever it says anything about it.

use std::fmt::Write as _;

use x509_parser::{
    certificate::X509Certificate,
    extensions::{
        DistributionPointName, GeneralName, NameConstraints, ParsedExtension, X509Extension,
    },
    oid_registry::Oid,
    prelude::FromDer,
    public_key::PublicKey,
    time::ASN1Time,
    x509::X509Name,
};

/// A certificate in words.
///
/// # Errors
/// It can't be read.
pub(super) fn certificate(der: &[u8]) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let mut text = Text::default();
    let version = certificate.version().0;
    text.line(0, "Certificate:");
    text.line(4, "Data:");
    text.line(8, &format!("Version: {} (0x{version:x})", version + 1));
    serial(&mut text, certificate.raw_serial());
    let algorithm = algorithm(&certificate.signature_algorithm.algorithm);
    text.line(8, &format!("Signature Algorithm: {algorithm}"));
    text.line(8, &format!("Issuer: {}", name(certificate.issuer())));
    text.line(8, "Validity");
    let validity = certificate.validity();
    text.line(12, &format!("Not Before: {}", time(&validity.not_before)));
    text.line(12, &format!("Not After : {}", time(&validity.not_after)));
    text.line(8, &format!("Subject: {}", name(certificate.subject())));
    public_key(&mut text, &certificate);
    if !certificate.extensions().is_empty() {
        text.line(8, "X509v3 extensions:");
        for extension in certificate.extensions() {
            self::extension(&mut text, extension);
        }
    }
    text.line(4, &format!("Signature Algorithm: {algorithm}"));
    text.line(4, "Signature Value:");
    text.octets(8, &certificate.signature_value.data, 18);
    Ok(text.0.trim_end().to_owned())
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    /// Octets in lines of so many, with colons between.
    fn octets(&mut self, indent: usize, octets: &[u8], a_line: usize) {
        let lines = octets.chunks(a_line).count();
        for (index, chunk) in octets.chunks(a_line).enumerate() {
            let colon = if index + 1 < lines { ":" } else { "" };
            self.line(indent, &format!("{}{colon}", with_colons(chunk, false)));
        }
    }
}

fn with_colons(octets: &[u8], upper: bool) -> String {
    let pairs: Vec<String> = octets
        .iter()
        .map(|octet| {
            if upper {
                format!("{octet:02X}")
            } else {
                format!("{octet:02x}")
            }
        })
        .collect();
    pairs.join(":")
}

fn serial(text: &mut Text, octets: &[u8]) {
    let start = octets.iter().take_while(|octet| **octet == 0).count();
    let significant = &octets[start..];
    if significant.len() < 8 {
        let number = significant
            .iter()
            .fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        text.line(8, &format!("Serial Number: {number} (0x{number:x})"));
        return;
    }
    text.line(8, "Serial Number:");
    text.line(12, &with_colons(significant, false));
}

/// A name as openssl's one-line form: `C = DE, O = Example, CN = x`.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes: Vec<String> = rdn
                .iter()
                .map(|attribute| {
                    let value = attribute.as_str().map_or_else(
                        |_| format!("#{}", hex::encode(attribute.attr_value().data)),
                        escaped,
                    );
                    format!("{} = {value}", attribute_name(attribute.attr_type()))
                })
                .collect();
            attributes.join(" + ")
        })
        .collect();
    parts.join(", ")
}

/// What would end the value is quoted, as RFC 2253 has it; control characters are spelt out.
fn escaped(text: &str) -> String {
    let quoted = text.contains([',', '+', '"', '<', '>', ';', '\\']);
    let inner: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\{:02X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    if quoted {
        format!("\"{inner}\"")
    } else {
        inner
    }
}

fn attribute_name(oid: &Oid<'_>) -> String {
    let id = oid.to_id_string();
    let short = match id.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    short.to_owned()
}

fn time(time: &ASN1Time) -> String {
    use ::time::{format_description::BorrowedFormatItem, macros::format_description};
    const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
        "[month repr:short] [day padding:space] [hour]:[minute]:[second] [year] GMT"
    );
    time.to_datetime().format(FORMAT).unwrap_or_default()
}

/// An algorithm as openssl calls it, or its identifier.
fn algorithm(oid: &Oid<'_>) -> String {
    let id = oid.to_id_string();
    let name = match id.as_str() {
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.3.101.112" => "ED25519",
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        other => other,
    };
    name.to_owned()
}

fn public_key(text: &mut Text, certificate: &X509Certificate<'_>) {
    let info = certificate.public_key();
    let algorithm = algorithm(&info.algorithm.algorithm);
    text.line(8, "Subject Public Key Info:");
    text.line(12, &format!("Public Key Algorithm: {algorithm}"));
    let octets: &[u8] = &info.subject_public_key.data;
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => {
            text.line(16, &format!("Public-Key: ({} bit)", key.key_size()));
            text.line(16, "Modulus:");
            text.octets(20, key.modulus, 15);
            let exponent = key.try_exponent().unwrap_or_default();
            text.line(16, &format!("Exponent: {exponent} (0x{exponent:x})"));
        }
        Ok(PublicKey::EC(point)) => {
            let curve = info
                .algorithm
                .parameters
                .as_ref()
                .and_then(|parameters| parameters.as_oid().ok())
                .map(|oid| oid.to_id_string());
            let (bits, name, nist) = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => (256, "prime256v1", "P-256"),
                Some("1.3.132.0.34") => (384, "secp384r1", "P-384"),
                Some("1.3.132.0.35") => (521, "secp521r1", "P-521"),
                Some(_) | None => (point.key_size(), "unknown", "unknown"),
            };
            text.line(16, &format!("Public-Key: ({bits} bit)"));
            text.line(16, "pub:");
            text.octets(20, octets, 15);
            text.line(16, &format!("ASN1 OID: {name}"));
            text.line(16, &format!("NIST CURVE: {nist}"));
        }
        Ok(_) | Err(_) => {
            let bits = if algorithm == "ED25519" {
                String::new()
            } else {
                format!(" ({} bit)", octets.len() * 8)
            };
            text.line(16, &format!("{algorithm} Public-Key:{bits}"));
            text.line(16, "pub:");
            text.octets(20, octets, 15);
        }
    }
}

fn extension(text: &mut Text, extension: &X509Extension<'_>) {
    let id = extension.oid.to_id_string();
    let title = match id.as_str() {
        "2.5.29.14" => "X509v3 Subject Key Identifier",
        "2.5.29.15" => "X509v3 Key Usage",
        "2.5.29.17" => "X509v3 Subject Alternative Name",
        "2.5.29.19" => "X509v3 Basic Constraints",
        "2.5.29.30" => "X509v3 Name Constraints",
        "2.5.29.31" => "X509v3 CRL Distribution Points",
        "2.5.29.32" => "X509v3 Certificate Policies",
        "2.5.29.35" => "X509v3 Authority Key Identifier",
        "2.5.29.37" => "X509v3 Extended Key Usage",
        "2.5.29.56" => "X509v3 No Revocation Available",
        "1.3.6.1.5.5.7.1.1" => "Authority Information Access",
        "1.3.6.1.5.5.7.1.24" => "TLS Feature",
        "1.3.6.1.5.5.7.48.1.5" => "OCSP No Check",
        other => other,
    };
    let critical = if extension.critical { "critical" } else { "" };
    text.line(12, &format!("{title}: {critical}"));
    match words(extension.parsed_extension()) {
        Some(lines) => {
            for line in lines {
                text.line(16, &line);
            }
        }
        None => text.octets(16, extension.value, 15),
    }
}

/// What an extension says; nothing where its octets must speak for themselves.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow"
)]
fn words(extension: &ParsedExtension<'_>) -> Option<Vec<String>> {
    let one = |line: String| Some(vec![line]);
    match extension {
        ParsedExtension::SubjectKeyIdentifier(id) => one(with_colons(id.0, true)),
        ParsedExtension::AuthorityKeyIdentifier(authority) => {
            let id = authority.key_identifier.as_ref()?;
            one(with_colons(id.0, true))
        }
        ParsedExtension::BasicConstraints(constraints) => {
            let ca = if constraints.ca { "TRUE" } else { "FALSE" };
            one(match constraints.path_len_constraint {
                Some(length) => format!("CA:{ca}, pathlen:{length}"),
                None => format!("CA:{ca}"),
            })
        }
        ParsedExtension::KeyUsage(usage) => {
            let all = [
                (usage.digital_signature(), "Digital Signature"),
                (usage.non_repudiation(), "Non Repudiation"),
                (usage.key_encipherment(), "Key Encipherment"),
                (usage.data_encipherment(), "Data Encipherment"),
                (usage.key_agreement(), "Key Agreement"),
                (usage.key_cert_sign(), "Certificate Sign"),
                (usage.crl_sign(), "CRL Sign"),
                (usage.encipher_only(), "Encipher Only"),
                (usage.decipher_only(), "Decipher Only"),
            ];
            one(chosen(&all).join(", "))
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let all = [
                (usage.server_auth, "TLS Web Server Authentication"),
                (usage.client_auth, "TLS Web Client Authentication"),
                (usage.code_signing, "Code Signing"),
                (usage.email_protection, "E-mail Protection"),
                (usage.time_stamping, "Time Stamping"),
                (usage.ocsp_signing, "OCSP Signing"),
                (usage.any, "Any Extended Key Usage"),
            ];
            let mut names: Vec<String> = chosen(&all).iter().map(ToString::to_string).collect();
            names.extend(usage.other.iter().map(Oid::to_id_string));
            one(names.join(", "))
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let names: Vec<String> = names.general_names.iter().map(general_name).collect();
            one(names.join(", "))
        }
        ParsedExtension::NameConstraints(constraints) => Some(name_constraints(constraints)),
        ParsedExtension::CRLDistributionPoints(points) => {
            let mut lines = Vec::new();
            for point in &points.points {
                if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                    lines.push("Full Name:".to_owned());
                    lines.extend(names.iter().map(|name| format!("  {}", general_name(name))));
                }
            }
            Some(lines)
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            let lines = access.accessdescs.iter().map(|description| {
                let method = match description.access_method.to_id_string().as_str() {
                    "1.3.6.1.5.5.7.48.1" => "OCSP".to_owned(),
                    "1.3.6.1.5.5.7.48.2" => "CA Issuers".to_owned(),
                    other => other.to_owned(),
                };
                format!("{method} - {}", general_name(&description.access_location))
            });
            Some(lines.collect())
        }
        ParsedExtension::CertificatePolicies(policies) => Some(
            policies
                .iter()
                .map(|policy| format!("Policy: {}", policy.policy_id.to_id_string()))
                .collect(),
        ),
        _ => None,
    }
}

fn chosen<'a>(all: &[(bool, &'a str)]) -> Vec<&'a str> {
    all.iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect()
}

fn name_constraints(constraints: &NameConstraints<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (title, subtrees) in [
        ("Permitted:", &constraints.permitted_subtrees),
        ("Excluded:", &constraints.excluded_subtrees),
    ] {
        let Some(subtrees) = subtrees else { continue };
        lines.push(title.to_owned());
        lines.extend(subtrees.iter().map(|subtree| {
            let name = if let GeneralName::IPAddress(octets) = &subtree.base {
                format!("IP:{}", network(octets))
            } else {
                general_name(&subtree.base)
            };
            format!("  {name}")
        }));
    }
    lines
}

/// An address with its mask.
fn network(octets: &[u8]) -> String {
    let half = octets.len() / 2;
    match (address(&octets[..half]), address(&octets[half..])) {
        (Some(address), Some(mask)) => format!("{address}/{mask}"),
        _ => hex::encode(octets),
    }
}

fn address(octets: &[u8]) -> Option<String> {
    match octets.len() {
        4 => Some(
            octets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("."),
        ),
        // As openssl has it: eight groups, nothing left out.
        16 => Some(
            octets
                .chunks(2)
                .map(|pair| format!("{:X}", u16::from_be_bytes([pair[0], pair[1]])))
                .collect::<Vec<_>>()
                .join(":"),
        ),
        _ => None,
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, which may grow"
)]
fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) => format!("DNS:{}", escaped(text)),
        GeneralName::URI(text) => format!("URI:{}", printable(text)),
        GeneralName::RFC822Name(text) => format!("email:{}", printable(text)),
        GeneralName::IPAddress(octets) => {
            let address = address(octets).unwrap_or_else(|| hex::encode(octets));
            format!("IP Address:{address}")
        }
        GeneralName::DirectoryName(directory) => format!("DirName:{}", self::name(directory)),
        GeneralName::RegisteredID(oid) => format!("Registered ID:{}", oid.to_id_string()),
        GeneralName::OtherName(oid, value) => {
            format!("othername: {}:{}", oid.to_id_string(), hex::encode(value))
        }
        other => format!("{other:?}"),
    }
}

/// Control characters spelt out: a name must not write to somebody's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                format!("\\{:02X}", u32::from(c))
            } else {
                c.to_string()
            }
        })
        .collect()
}
