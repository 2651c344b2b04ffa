//! certbot and lego, as somebody calls them who has an ACME server of their own.

use std::path::{Path, PathBuf};

use super::program::{program, succeeds};

/// An order for either program.
pub struct Order<'a> {
    pub directory_url: &'a str,
    /// The root that the server's own certificate ends in.
    pub root_pem: &'a Path,
    /// The DNS names; the first one names the files, too.
    pub names: &'a [&'a str],
    /// Where the program answers http-01, on 127.0.0.1.
    pub http01_port: u16,
    /// An external account binding: `kid`, and the MAC key in base64url.
    pub binding: Option<(&'a str, &'a str)>,
    /// Where the program keeps its things.
    pub folder: &'a Path,
}

/// What the program got.
pub struct Obtained {
    /// The leaf and what is above it, in PEM.
    pub chain: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// What the program printed.
    pub said: String,
}

/// Orders with certbot; none where it isn't installed.
///
/// certbot's account keys are RSA of 2048 bits, signing with RS256, and it knows no other.
pub fn certbot(order: &Order<'_>) -> Option<Obtained> {
    let mut certbot = program("certbot")?;
    certbot.env("REQUESTS_CA_BUNDLE", order.root_pem);
    certbot.args([
        "certonly",
        "--non-interactive",
        "--agree-tos",
        "--register-unsafely-without-email",
        "--standalone",
        "--preferred-challenges",
        "http",
        "--http-01-address",
        "127.0.0.1",
        "--http-01-port",
        &order.http01_port.to_string(),
        "--server",
        order.directory_url,
    ]);
    for (option, folder) in [
        ("--config-dir", "config"),
        ("--work-dir", "work"),
        ("--logs-dir", "logs"),
    ] {
        certbot.arg(option).arg(order.folder.join(folder));
    }
    if let Some((kid, mac_key)) = order.binding {
        certbot.args(["--eab-kid", kid, "--eab-hmac-key", mac_key]);
    }
    for name in order.names {
        certbot.args(["--domain", name]);
    }
    let said = succeeds(&mut certbot);
    let live = order.folder.join("config/live").join(order.names[0]);
    Some(Obtained {
        chain: live.join("fullchain.pem"),
        key: live.join("privkey.pem"),
        said,
    })
}

/// Orders with lego; none where it isn't installed.
pub fn lego(order: &Order<'_>) -> Option<Obtained> {
    let mut lego = program("lego")?;
    lego.env("LEGO_CA_CERTIFICATES", order.root_pem);
    lego.arg("--path").arg(order.folder).args([
        "--server",
        order.directory_url,
        "--accept-tos",
        // lego won't begin without one.
        "--email",
        "ada@fleet.test",
        "--http",
        "--http.port",
        &format!("127.0.0.1:{}", order.http01_port),
    ]);
    if let Some((kid, mac_key)) = order.binding {
        lego.args(["--eab", "--kid", kid, "--hmac", mac_key]);
    }
    for name in order.names {
        lego.args(["--domains", name]);
    }
    let said = succeeds(lego.arg("run"));
    let certificates = order.folder.join("certificates");
    Some(Obtained {
        chain: certificates.join(format!("{}.crt", order.names[0])),
        key: certificates.join(format!("{}.key", order.names[0])),
        said,
    })
}
