//! The inventory: every filter against a plain look at everything, paging, and a certificate in words beside openssl's.

use std::{fs, process::Command};

use portcullis::{
    domain::{
        Timestamp,
        audit::{Actor, AuditDraft},
        certificate::{CertificateRecord, CertificateStatus},
        id::{AccountId, EnrolmentId},
    },
    store::{Certificates, Commands, Inventory, InventoryQuery, sqlite::SqliteStore},
};
use portcullis_ca::{issuer_key_id::IssuerKeyId, serial::Serial};

use super::faults::Random;
use crate::support::Server;

const NOW: i64 = 1_800_000_000;

fn audit() -> AuditDraft {
    AuditDraft {
        at: Timestamp::from_unix_seconds(NOW),
        actor: Actor::Authority,
        action: "certificate.issue",
        subject: String::new(),
        detail: serde_json::json!({}),
    }
}

fn record(random: &mut Random, number: i64) -> CertificateRecord {
    // Many at the same moment, so that the serial has to decide.
    let issued_at = NOW - 40 + random.below(40);
    let device = random.below(12);
    let is_device = random.below(3) > 0;
    let mut names = vec![format!("dns:host-{}.example", random.below(9))];
    if is_device {
        names.push(format!("uri:spiffe://home.example/device/d/{device}"));
    }
    let mut serial = [0; 16];
    serial[0] = 0x10 + random.below(4) as u8;
    serial[8..].copy_from_slice(&number.to_be_bytes());
    CertificateRecord {
        serial: Serial::from_der_integer(&serial).expect("a serial"),
        issuer: IssuerKeyId([random.below(2) as u8; 32]),
        list_shard: 0,
        profile: if is_device { "device" } else { "server" }
            .parse()
            .expect("a profile"),
        principal: is_device.then(|| format!("device:d/{device}").parse().expect("a principal")),
        names,
        not_before: Timestamp::from_unix_seconds(issued_at),
        not_after: Timestamp::from_unix_seconds(issued_at + random.below(80)),
        key_fingerprint: [7; 32],
        der: number.to_be_bytes().to_vec(),
        enrolment: is_device.then(|| EnrolmentId::from_text(format!("e{}", (device + number) % 2))),
        account: Some(AccountId::from_text(format!("a{}", number % 2))),
        order: None,
        issued_at: Timestamp::from_unix_seconds(issued_at),
        revocation: None,
    }
}

/// What a query means, said plainly.
fn wanted(query: &InventoryQuery, prefix: Option<&str>, record: &CertificateRecord) -> bool {
    let is = |it: Option<bool>| it.unwrap_or(true);
    is(query
        .principal
        .as_ref()
        .map(|p| record.principal.as_ref() == Some(p)))
        && is(query.name.as_ref().map(|name| record.names.contains(name)))
        && is(prefix.map(|prefix| record.serial.to_string().starts_with(prefix)))
        && is(query
            .profile
            .as_ref()
            .map(|p| *p == record.profile.to_string()))
        && is(query.issuer.map(|issuer| record.issuer == issuer))
        && is(query
            .status
            .map(|status| record.status_at(query.now) == status))
        && is(query
            .expiring_before
            .map(|before| record.not_after < before))
        && is(query.issued_from.map(|from| record.issued_at >= from))
        && is(query.issued_until.map(|until| record.issued_at < until))
}

#[tokio::test]
async fn every_filter_finds_what_it_says_in_order_and_page_by_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&dir.path().join("store.db")).expect("a store");
    let mut random = Random::new(42);
    for number in 0..400 {
        store
            .record_certificate(record(&mut random, number), audit())
            .await
            .expect("recorded");
    }
    let all = |limit| InventoryQuery::all(Timestamp::from_unix_seconds(NOW), limit);
    let everything = store.inventory(all(1000)).await.expect("read").certificates;
    assert_eq!(everything.len(), 400);
    let db = rusqlite::Connection::open(dir.path().join("store.db")).expect("the database");
    db.execute(
        "UPDATE certificates SET revoked_at = ?, revocation_reason = 4 WHERE rowid % 5 = 0",
        [NOW * 1000],
    )
    .expect("revoked");
    let mut everything = store.inventory(all(1000)).await.expect("read").certificates;
    let mut found_any = 0;
    for turn in 0..400 {
        let mut query = all(7);
        let mut prefix = None;
        let some = |random: &mut Random, of: i64| random.below(of) == 0;
        let moment =
            |random: &mut Random| Timestamp::from_unix_seconds(NOW - 40 + random.below(90));
        if some(&mut random, 4) {
            query.principal = Some(
                format!("device:d/{}", random.below(13))
                    .parse()
                    .expect("one"),
            );
        }
        if some(&mut random, 4) {
            query.name = Some(if random.below(2) == 0 {
                format!("dns:host-{}.example", random.below(10))
            } else {
                format!("uri:spiffe://home.example/device/d/{}", random.below(13))
            });
        }
        if some(&mut random, 5) {
            let text = ["1", "11", "120", "130", "f"][random.below(5) as usize];
            query.serial = Some(text.parse().expect("a prefix"));
            prefix = Some(text);
        }
        if some(&mut random, 4) {
            query.profile = Some(["device", "server"][random.below(2) as usize].to_owned());
        }
        if some(&mut random, 4) {
            query.issuer = Some(IssuerKeyId([random.below(2) as u8; 32]));
        }
        if some(&mut random, 2) {
            query.status = Some(
                [
                    CertificateStatus::Valid,
                    CertificateStatus::Expired,
                    CertificateStatus::Revoked,
                ][random.below(3) as usize],
            );
        }
        if some(&mut random, 3) {
            query.expiring_before = Some(moment(&mut random));
        }
        if some(&mut random, 4) {
            query.issued_from = Some(moment(&mut random));
        }
        if some(&mut random, 4) {
            query.issued_until = Some(moment(&mut random));
        }
        everything.sort_by_key(|it| (it.issued_at, it.serial));
        if query.expiring_before.is_some() {
            everything.sort_by_key(|it| (it.not_after, it.serial));
        } else if query.status == Some(CertificateStatus::Expired) {
            everything.sort_by_key(|it| std::cmp::Reverse((it.not_after, it.serial)));
        } else {
            everything.reverse();
        }
        let right: Vec<Serial> = everything
            .iter()
            .filter(|it| wanted(&query, prefix, it))
            .map(|it| it.serial)
            .collect();
        let mut found = Vec::new();
        loop {
            let page = store.inventory(query.clone()).await.expect("read");
            found.extend(page.certificates.iter().map(|it| it.serial));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
            assert_eq!(page.certificates.len(), 7);
        }
        found_any += usize::from(!found.is_empty());
        query.after = None;
        assert_eq!(found, right, "{turn}: {query:?}");
    }
    assert!(found_any > 150, "{found_any}");

    for one in everything.iter().step_by(9) {
        let kin = store.kin(one, 5).await.expect("read");
        let mut line: Vec<&CertificateRecord> = everything
            .iter()
            .filter(|it| {
                if one.principal.is_some() {
                    (&it.principal, &it.enrolment) == (&one.principal, &one.enrolment)
                } else {
                    (&it.names, &it.account) == (&one.names, &one.account)
                }
            })
            .collect();
        line.sort_by_key(|it| (it.issued_at, it.serial));
        let place = line
            .iter()
            .position(|it| it.serial == one.serial)
            .expect("in it");
        let serials = |records: &[CertificateRecord]| -> Vec<Serial> {
            records.iter().map(|it| it.serial).collect()
        };
        let before: Vec<Serial> = line[..place]
            .iter()
            .rev()
            .take(5)
            .map(|it| it.serial)
            .collect();
        let after: Vec<Serial> = line[place + 1..]
            .iter()
            .take(5)
            .map(|it| it.serial)
            .collect();
        assert_eq!(serials(&kin.predecessors), before);
        assert_eq!(serials(&kin.successors), after);
    }
    assert!(
        store
            .certificate(everything[0].serial)
            .await
            .expect("read")
            .is_some()
    );
}

fn text(server: &Server, arguments: &[&str]) -> String {
    let output = server.cli(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_certificate_in_words_is_what_openssl_prints() {
    let server = Server::start();
    let device = server.enrol("device:fra/sensor-42");
    let own = server.json(&["cert", "list", "--name", "localhost"])[0]["serial"]
        .as_str()
        .expect("a serial")
        .to_owned();
    let scratch = server.scratch("certificates");
    let own_file = scratch.join("own.pem");
    let shown = server.json(&["cert", "show", &own]);
    fs::write(&own_file, shown["pem"].as_str().expect("PEM")).expect("written");
    for file in [
        device.join("current/cert.pem"),
        own_file,
        server.state_dir().join("root.pem"),
        server.state_dir().join("intermediate.pem"),
    ] {
        let file = file.display().to_string();
        let ours = text(&server, &["cert", "show", &file]);
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in", &file])
            .output()
            .expect("openssl runs");
        let theirs = String::from_utf8(output.stdout).expect("text");
        let lines = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect()
        };
        let (ours, theirs) = (lines(&ours), lines(&theirs));
        assert!(ours.len() >= theirs.len(), "{ours:#?}");
        assert_eq!(ours[..theirs.len()], theirs, "{file}");
    }
}

#[test]
fn the_inventory_is_listed_filtered_and_told_with_its_history() {
    let server = Server::start();
    server.enrol("device:fra/sensor-42");
    let device = server.enrol("device:fra/sensor-43");
    let list = |arguments: &[&str]| -> Vec<String> {
        let all = server.json(&[&["cert", "list"], arguments].concat());
        let serial = |it: &serde_json::Value| it["serial"].as_str().expect("one").to_owned();
        all.as_array().expect("a list").iter().map(serial).collect()
    };
    let all = list(&[]);
    assert!(all.len() >= 3, "{all:?}");
    let of_device = list(&["--principal", "device:fra/sensor-43"]);
    assert_eq!(of_device.len(), 1);
    for filter in [
        [
            "--name",
            "spiffe://portcullis.internal/device/fra/sensor-43",
        ],
        ["--serial", &of_device[0][..9]],
    ] {
        assert_eq!(list(&filter), of_device, "{filter:?}");
    }
    assert_eq!(
        list(&["--expiring-before", "3000d", "--state", "valid"]).len(),
        all.len()
    );
    assert_eq!(list(&["--expiring-before", "1m"]), Vec::<String>::new());
    assert_eq!(list(&["--issued-between", "1h.."]), all);
    assert_eq!(list(&["--issued-between", "..1h"]), Vec::<String>::new());
    assert_eq!(list(&["--all"]), all);

    let first = server.cli(&["cert", "list", "--limit", "1", "--csv"]);
    let csv = String::from_utf8(first.stdout).expect("text");
    assert_eq!(csv.lines().count(), 2);
    assert!(
        csv.starts_with("serial,status,profile") && csv.contains(&all[0]) && csv.ends_with("\r\n")
    );
    let hint = String::from_utf8(first.stderr).expect("text");
    let cursor = hint
        .split_whitespace()
        .nth(3)
        .expect("a cursor")
        .trim_end_matches(',');
    assert_eq!(list(&["--cursor", cursor]), all[1..]);

    let renewed = Command::new(crate::support::AGENT)
        .args(["run", "--once", "--renew-now", "--state-dir"])
        .arg(&device)
        .output()
        .expect("the agent runs");
    assert!(renewed.status.success(), "{renewed:?}");
    let newer = list(&["--principal", "device:fra/sensor-43", "--limit", "1"]);
    assert_ne!(newer, of_device);
    let shown = server.json(&["cert", "show", &of_device[0]]);
    assert_eq!(shown["successors"][0]["serial"], newer[0].as_str());
    let shown = server.json(&["cert", "show", &newer[0]]);
    assert_eq!(shown["predecessors"][0]["serial"], of_device[0].as_str());
    let shown = server.json(&["cert", "show", &of_device[0]]);
    assert_eq!(shown["asked_by"]["kind"], "account");
    assert!(
        shown["asked_by"]["enrolment"]["invitation"].is_string(),
        "{shown}"
    );
    assert!(
        shown["list_url"]
            .as_str()
            .is_some_and(|url| url.ends_with(".crl"))
    );
    let own = list(&["--name", "localhost"]);
    assert_eq!(
        server.json(&["cert", "show", &own[0]])["asked_by"]["kind"],
        "authority"
    );
    let words = text(&server, &["cert", "show", &of_device[0]]);
    assert!(words.contains("asked by     ACME account"), "{words}");
}
