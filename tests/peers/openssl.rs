//! openssl as a judge of certificates and lists.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::program::{fails, program, succeeds};

/// What openssl is asked to verify.
pub struct Chain<'a> {
    pub root_pem: &'a Path,
    /// The leaf, and after it what is above it, in PEM.
    pub chain: &'a Path,
    /// `sslclient` or `sslserver`.
    pub purpose: &'a str,
}

impl Chain<'_> {
    /// openssl accepts it. None where there's no openssl.
    pub fn is_accepted(&self, lists: Option<&Path>) -> Option<()> {
        let said = succeeds(&mut self.command(lists)?);
        assert!(said.ends_with(": OK\n"), "{said}");
        Some(())
    }

    /// openssl refuses it, and this is what it says.
    pub fn is_refused(&self, lists: Option<&Path>) -> Option<String> {
        Some(fails(&mut self.command(lists)?))
    }

    fn command(&self, lists: Option<&Path>) -> Option<Command> {
        let mut openssl = program("openssl")?;
        openssl.args(["verify", "-x509_strict", "-purpose", self.purpose]);
        // The root named here is the only one there is.
        openssl.args(["-no-CAfile", "-no-CApath", "-no-CAstore"]);
        openssl.arg("-CAfile").arg(self.root_pem);
        openssl.arg("-untrusted").arg(self.chain);
        if let Some(lists) = lists {
            openssl.arg("-crl_check_all").arg("-CRLfile").arg(lists);
        }
        openssl.arg(self.chain);
        Some(openssl)
    }
}

/// Fetches the list of every certificate of a chain from where the certificate says that it is, and writes them, in
/// PEM, to one file in `folder`; the leaf's list also to `leaf.pem`. None where a program is missing.
pub fn fetch_lists(chain: &Path, folder: &Path) -> Option<PathBuf> {
    let mut lists = String::new();
    for (depth, certificate) in certificates(chain).into_iter().enumerate() {
        let path = folder.join("one.pem");
        fs::write(&path, certificate).unwrap();
        let said = extension(&path, "crlDistributionPoints")?;
        let url = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("URI:"))
            .unwrap_or_else(|| panic!("no distribution point: {said}"));
        let der = folder.join("list.crl");
        succeeds(
            program("curl")?
                .args(["--silent", "--show-error", "--fail", "--output"])
                .arg(&der)
                .arg(url),
        );
        let pem = succeeds(
            program("openssl")?
                .args(["crl", "-inform", "DER", "-in"])
                .arg(&der),
        );
        if depth == 0 {
            fs::write(folder.join("leaf.pem"), &pem).unwrap();
        }
        lists += &pem;
    }
    let path = folder.join("lists.pem");
    fs::write(&path, lists).unwrap();
    Some(path)
}

/// What openssl prints of the first certificate's extension `name`; none where there's no openssl.
pub fn extension(chain: &Path, name: &str) -> Option<String> {
    let mut openssl = program("openssl")?;
    openssl.args(["x509", "-noout", "-ext", name, "-in"]);
    Some(succeeds(openssl.arg(chain)))
}

/// The private key is that of the first certificate; none where there's no openssl.
pub fn key_belongs_to(key: &Path, chain: &Path) -> Option<bool> {
    let of_key = succeeds(
        program("openssl")?
            .args(["pkey", "-pubout", "-in"])
            .arg(key),
    );
    let mut openssl = program("openssl")?;
    let of_chain = succeeds(
        openssl
            .args(["x509", "-noout", "-pubkey", "-in"])
            .arg(chain),
    );
    Some(of_key == of_chain)
}

/// The first certificate's serial number, in lower-case hexadecimal; none where there's no openssl.
pub fn serial(chain: &Path) -> Option<String> {
    let mut openssl = program("openssl")?;
    let said = succeeds(
        openssl
            .args(["x509", "-noout", "-serial", "-in"])
            .arg(chain),
    );
    let serial = said.trim().strip_prefix("serial=").expect("serial=…");
    Some(serial.to_lowercase())
}

/// The PEM blocks of a chain.
fn certificates(chain: &Path) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = fs::read_to_string(chain).unwrap();
    text.split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| format!("{}\n", block.trim()))
        .collect()
}
