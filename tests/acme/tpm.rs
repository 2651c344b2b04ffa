//! A TPM 2.0 of a test's own: swtpm, spoken to with tpm2-tools, as a device would speak to its chip.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    CustomExtension, ExtendedKeyUsagePurpose, PublicKeyData, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use tempfile::TempDir;

use super::device::{Maker, array, bytes, certificate, negative, object, text};
use crate::peers::program::{program, succeeds};

/// Who made swtpm, says its certificate here: IBM.
pub const VENDOR: &str = "id:00001014";

const ATTESTATION_KEY: u32 = 0x8101_0002;

/// A TPM with an attestation key. It goes with its owner.
pub struct Tpm {
    folder: TempDir,
    process: Child,
    attestation_key: PublicOnly,
}

/// A public key in its SubjectPublicKeyInfo.
pub struct PublicOnly {
    info: Vec<u8>,
    bits_at: usize,
}

impl PublicOnly {
    fn new(info: &[u8]) -> Self {
        // P-256: the point is what comes last, behind 26 octets of header.
        Self {
            info: info.to_vec(),
            bits_at: 26,
        }
    }
}

impl PublicKeyData for PublicOnly {
    fn der_bytes(&self) -> &[u8] {
        &self.info[self.bits_at..]
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// A key in a TPM.
pub struct TpmKey<'a> {
    tpm: &'a Tpm,
    handle: u32,
    public: PublicOnly,
    /// TPMT_PUBLIC.
    area: Vec<u8>,
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Tpm {
    /// None where swtpm or tpm2-tools aren't installed.
    pub fn new() -> Option<Self> {
        let mut swtpm = program("swtpm")?;
        program("tpm2_certify")?;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let process = swtpm
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", folder.path().display())])
            .args(["--server", &format!("type=unixio,path={}", path("socket"))])
            .args([
                "--ctrl",
                &format!("type=unixio,path={}", path("socket.ctrl")),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !folder.path().join("socket.ctrl").exists() {
            assert!(Instant::now() < deadline, "swtpm does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut tpm = Self {
            folder,
            process,
            attestation_key: PublicOnly::new(&[]),
        };
        tpm.run("tpm2_createek", &["-c", "ek", "-G", "ecc", "-u", "ek.pub"]);
        tpm.run(
            "tpm2_createak",
            &[
                "-C", "ek", "-c", "ak", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pem",
                "-f", "pem",
            ],
        );
        tpm.keep("ak", ATTESTATION_KEY);
        tpm.run(
            "tpm2_createprimary",
            &["-C", "o", "-G", "ecc", "-c", "primary"],
        );
        let info = SubjectPublicKeyInfoDer::from_pem_slice(&tpm.read("ak.pem")).unwrap();
        tpm.attestation_key = PublicOnly::new(&info);
        Some(tpm)
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        // Files are named relative to the folder; what stays loaded would soon fill the TPM.
        for (name, arguments) in [(name, arguments), ("tpm2_flushcontext", &["-t"])] {
            let socket = self.folder.path().join("socket");
            succeeds(
                Command::new(name)
                    .args(arguments)
                    .current_dir(self.folder.path())
                    .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", socket.display())),
            );
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn keep(&self, context: &str, handle: u32) {
        let handle = format!("{handle:#x}");
        self.run("tpm2_evictcontrol", &["-C", "o", "-c", context, &handle]);
    }

    /// Makes a P-256 key for signing, with these attributes.
    pub fn key(&self, number: u32, attributes: &str) -> TpmKey<'_> {
        let handle = 0x8101_0010 + number;
        self.run(
            "tpm2_create",
            &[
                "-C",
                "primary",
                "-G",
                "ecc256:ecdsa-sha256:null",
                "-u",
                "key.pub",
                "-r",
                "key.priv",
                "-a",
                attributes,
            ],
        );
        self.run(
            "tpm2_load",
            &[
                "-C", "primary", "-u", "key.pub", "-r", "key.priv", "-c", "key",
            ],
        );
        self.run(
            "tpm2_readpublic",
            &["-c", "key", "-f", "pem", "-o", "key.pem"],
        );
        self.keep("key", handle);
        let info = SubjectPublicKeyInfoDer::from_pem_slice(&self.read("key.pem")).unwrap();
        TpmKey {
            tpm: self,
            handle,
            public: PublicOnly::new(&info),
            // Behind the length of the TPM2B_PUBLIC.
            area: self.read("key.pub")[2..].to_vec(),
        }
    }

    /// The attestation key's certificate, for a device of this name.
    fn certificate(&self, maker: &Maker, name: &str) -> Vec<u8> {
        let mut params = certificate();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 3])];
        let attributes: Vec<u8> = [(1, VENDOR), (2, "swtpm"), (3, "id:20191023")]
            .iter()
            .flat_map(|(number, value)| {
                let oid = [0x67, 0x81, 0x05, 0x02, *number];
                let pair = [der(6, &oid), der(0x0c, value.as_bytes())].concat();
                der(0x31, &der(0x30, &pair))
            })
            .collect();
        // permanentIdentifier, 1.3.6.1.5.5.7.8.3 (RFC 4043).
        let oid = der(6, &[0x2b, 6, 1, 5, 5, 7, 8, 3]);
        let value = der(0xa0, &der(0x30, &der(0x0c, name.as_bytes())));
        let names = [
            der(0xa4, &der(0x30, &attributes)),
            der(0xa0, &[oid, value].concat()),
        ];
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(
                &[2, 5, 29, 17],
                der(0x30, &names.concat()),
            ));
        maker.issue(&params, &self.attestation_key)
    }
}

impl TpmKey<'_> {
    /// What the TPM says about the key for a challenge, as a device of this name.
    pub fn statement(&self, maker: &Maker, name: &str, key_authorization: &str) -> Vec<u8> {
        // TPM2_Certify (TPM 2.0 Library, Part 3 section 18.2): tpm2_certify has no way to say what is to be signed along.
        let password = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];
        let body = [
            &self.handle.to_be_bytes()[..],
            &ATTESTATION_KEY.to_be_bytes(),
            &18_u32.to_be_bytes(),
            &password,
            &password,
            &32_u16.to_be_bytes(),
            digest(&SHA256, key_authorization.as_bytes()).as_ref(),
            &0x0010_u16.to_be_bytes(),
        ]
        .concat();
        let command = [
            &0x8002_u16.to_be_bytes()[..],
            &u32::try_from(10 + body.len()).unwrap().to_be_bytes(),
            &0x148_u32.to_be_bytes(),
            &body,
        ]
        .concat();
        fs::write(self.tpm.path("command"), command).unwrap();
        self.tpm.run("tpm2_send", &["-o", "response", "command"]);
        let response = self.tpm.read("response");
        assert_eq!(response[6..10], [0; 4], "the TPM refuses");
        let parameters = u32::from_be_bytes(response[10..14].try_into().unwrap()) as usize;
        let parameters = &response[14..14 + parameters];
        let length = usize::from(u16::from_be_bytes(parameters[..2].try_into().unwrap()));
        let (signed, signature) = parameters[2..].split_at(length);
        object(
            "tpm",
            &[
                ("ver", text("2.0")),
                ("alg", negative(-7)),
                ("x5c", array(&[bytes(&self.tpm.certificate(maker, name))])),
                ("sig", bytes(signature)),
                ("certInfo", bytes(signed)),
                ("pubArea", bytes(&self.area)),
            ],
        )
    }
}

impl PublicKeyData for TpmKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for TpmKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        fs::write(self.tpm.path("message"), message).unwrap();
        let handle = format!("{:#x}", self.handle);
        self.tpm.run(
            "tpm2_sign",
            &[
                "-c",
                &handle,
                "-g",
                "sha256",
                "-s",
                "ecdsa",
                "-f",
                "plain",
                "-o",
                "signature",
                "message",
            ],
        );
        Ok(self.tpm.read("signature"))
    }
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let header = if length < 0x80 {
        vec![tag, length as u8]
    } else {
        vec![tag, 0x82, (length >> 8) as u8, length as u8]
    };
    let header = match length {
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => header,
    };
    [header, contents.to_vec()].concat()
}
