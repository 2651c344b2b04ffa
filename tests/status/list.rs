//! Revocation lists over HTTP, as clients and caches ask for them (RFC 9110, RFC 9111).

use std::process::Command;

use crate::support::Server;

/// What curl says: status and headers in lower case, and how many octets came.
fn ask(url: &str, arguments: &[&str]) -> (u16, String, usize) {
    let output = Command::new("curl")
        .args(["-sS", "-D", "-", "-o", "/dev/null"])
        .args(["-w", "size=%{size_download}"])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    let size = text
        .rsplit("size=")
        .next()
        .and_then(|size| size.parse().ok());
    (status.expect("a status"), text, size.expect("a size"))
}

fn header<'a>(headers: &'a str, name: &str) -> &'a str {
    headers
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no {name} in {headers}"))
}

#[test]
fn a_list_is_served_with_validators_and_sent_once() {
    let server = Server::start();
    let lists = server.json(&["crl", "list"]);
    // The root's, and sixteen of the intermediate.
    assert_eq!(lists.as_array().map(Vec::len), Some(17));
    let issuer = &lists
        .as_array()
        .and_then(|lists| lists.iter().find(|list| list["shard"] == 15))
        .expect("the last shard")["issuer"]
        .as_str()
        .expect("an issuer")[..16];
    let url = format!("{}/crl/{issuer}/15.crl", server.status_url());
    let (status, headers, size) = ask(&url, &[]);
    assert_eq!(status, 200);
    assert!(size > 200);
    assert_eq!(header(&headers, "content-type"), "application/pkix-crl");
    assert!(header(&headers, "cache-control").contains("max-age=300"));
    let tag = header(&headers, "etag").to_owned();
    let modified = Command::new("curl")
        .args(["-sSI", &url])
        .output()
        .expect("curl runs");
    let modified = String::from_utf8_lossy(&modified.stdout).into_owned();
    let modified = modified
        .lines()
        .find(|line| line.to_lowercase().starts_with("last-modified"))
        .and_then(|line| line.split_once(": "))
        .expect("Last-Modified")
        .1;
    for (arguments, expected) in [
        (vec!["-I"], 200),
        (vec!["-H", &format!("If-None-Match: {tag}")], 304),
        (vec!["-H", &format!("If-None-Match: \"x\", W/{tag}")], 304),
        (vec!["-H", "If-None-Match: *"], 304),
        (vec!["-H", "If-None-Match: \"x\""], 200),
        (vec!["-H", &format!("If-Modified-Since: {modified}")], 304),
        (vec!["-I", "-H", &format!("If-None-Match: {tag}")], 304),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(|it| &**it).collect();
        let (status, headers, size) = ask(&url, &arguments);
        assert_eq!(status, expected, "{arguments:?}");
        assert_eq!(header(&headers, "etag"), tag, "{arguments:?}");
        assert!(
            status == 200 && !arguments.contains(&"-I") || size == 0,
            "{arguments:?}: {size}"
        );
    }
    for path in ["16.crl", "015.crl", "+1.crl", "15", "15.crl/"] {
        let url = format!("{}/crl/{issuer}/{path}", server.status_url());
        assert_eq!(ask(&url, &[]).0, 404, "{path}");
    }
    // Another list, another tag.
    server.json(&["crl", "publish"]);
    let changed = ask(&url, &["-H", &format!("If-None-Match: {tag}")]);
    assert_eq!(changed.0, 200);
    assert_ne!(header(&changed.1, "etag"), tag);
}
