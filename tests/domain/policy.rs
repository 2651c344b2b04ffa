//! Roles, bindings and denies as they decide.

use portcullis::domain::{Labels, Policy, PolicyContext, Principal, Scope, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

pub fn compile(document: &str) -> Policy {
    let context = PolicyContext {
        trust_domain: "home.example".parse().unwrap(),
        local_admins: vec![Principal::local_user(1000)],
    };
    Policy::compile(document, &context).unwrap_or_else(|errors| panic!("{errors}"))
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

/// The rule that decided, with a `-` before it if it refused.
fn rule(policy: &Policy, principal: &str, labels: &Labels, needed: &str, now: Timestamp) -> String {
    let principal = principal.parse().expect(principal);
    let needed = Scope::parse_admin(needed).expect(needed);
    match policy.permits(&principal, labels, &[], &needed, now) {
        Ok(grant) => grant.rule.to_string(),
        Err(refusal) => format!("-{}", refusal.rule),
    }
}

#[test]
fn the_local_operator_is_admin_and_nobody_else_is_by_itself() {
    let policy = compile("");
    let none = Labels::default();
    for needed in ["a:b", "policy:apply@**", "keys:mint@device/fra/a", "*:*"] {
        assert_eq!(
            rule(&policy, "user:local/1000", &none, needed, NOW),
            "role \"admin\" of the local operator"
        );
        for other in [
            "user:local/1001",
            "user:local/1000/x",
            "user:local",
            "device:local/1000",
        ] {
            assert_eq!(rule(&policy, other, &none, needed, NOW), "-default deny");
        }
    }
}

#[test]
fn the_built_in_role_can_be_bound_and_a_deny_beats_even_that() {
    let policy = compile(
        "[[bind]]\nrole = \"admin\"\nto = \"user:ops/*\"\n[[deny]]\nto = \"user:**\"\nscope = \"root:use\"\n",
    );
    let none = Labels::default();
    assert_eq!(
        rule(&policy, "user:ops/ada", &none, "a:b@x", NOW),
        "role \"admin\" via bind[0]"
    );
    assert_eq!(
        rule(&policy, "user:ops/a/b", &none, "a:b@x", NOW),
        "-default deny"
    );
    assert_eq!(
        rule(&policy, "user:ops/ada", &none, "root:use@x", NOW),
        "-deny[0]"
    );
    assert_eq!(
        rule(&policy, "user:local/1000", &none, "root:use", NOW),
        "-deny[0]"
    );
}

#[test]
fn a_binding_holds_while_every_label_matches_and_until_its_date() {
    let policy = compile(
        r#"
[[role]]
name = "sensor"
allow = ["a:b@{self}"]
[[bind]]
role = "sensor"
to = "device:**"
when = { site = ["fra", "muc"], zone = ["inner"] }
until = 2027-01-15T09:00:00+01:00
"#,
    );
    let (just_before, fra) = (
        Timestamp::from_unix_millis(NOW.unix_millis() - 1),
        labels(&[("site", "fra"), ("zone", "inner"), ("other", "x")]),
    );
    let allowed = "role \"sensor\" via bind[0]";
    for (labels, now, wanted) in [
        (&fra, just_before, allowed),
        (&fra, NOW, "-default deny"),
        (
            &labels(&[("site", "muc"), ("zone", "inner")]),
            just_before,
            allowed,
        ),
        (
            &labels(&[("site", "ber"), ("zone", "inner")]),
            just_before,
            "-default deny",
        ),
        (&labels(&[("site", "fra")]), just_before, "-default deny"),
        (&labels(&[("zone", "inner")]), just_before, "-default deny"),
        (&Labels::default(), just_before, "-default deny"),
    ] {
        assert_eq!(
            rule(&policy, "device:x", labels, "a:b@x", now),
            wanted,
            "{labels:?}"
        );
    }
}

#[test]
fn what_is_needed_as_a_whole_is_not_allowed_in_part() {
    let policy = compile(
        r#"
[[role]]
name = "reader"
allow = ["orders:read@eu/**", "stock:read"]
[[bind]]
role = "reader"
to = "service:**"
[[deny]]
to = "service:**"
scope = "stock:read@secret/**"
"#,
    );
    let none = Labels::default();
    for (needed, wanted) in [
        ("orders:read@eu", "role \"reader\" via bind[0]"),
        ("orders:read@eu/**", "role \"reader\" via bind[0]"),
        ("orders:read", "-default deny"),
        ("stock:read@a", "role \"reader\" via bind[0]"),
        ("stock:read@secret", "-deny[0]"),
        ("stock:read@*", "-deny[0]"),
        ("stock:read", "-deny[0]"),
        // No action implies another.
        ("orders:write@eu", "-default deny"),
        ("stock:*@a", "-default deny"),
        // What was not filled in is nothing that anyone can be allowed.
        ("stock:read@{self}", "-deny[0]"),
        ("orders:read@eu/{self}", "-default deny"),
    ] {
        assert_eq!(
            rule(&policy, "service:x", &none, needed, NOW),
            wanted,
            "{needed}"
        );
    }
}

#[test]
fn the_first_binding_of_the_document_is_the_one_that_is_named() {
    let policy = compile(
        r#"
[[role]]
name = "one"
allow = ["a:b"]
[[role]]
name = "two"
allow = ["a:b", "c:d"]
[[bind]]
role = "two"
to = "device:x/*"
[[bind]]
role = "one"
to = "device:**"
[[bind]]
role = "two"
to = "device:x/y"
[[bind]]
role = "two"
to = "device:q/r"
[[deny]]
to = "device:w/**"
scope = "a:b@secret/**"
[[deny]]
to = "device:w/a"
scope = "a:b@secret"
"#,
    );
    let none = Labels::default();
    assert_eq!(
        rule(&policy, "device:w/a", &none, "a:b@secret", NOW),
        "-deny[0]"
    );
    for (principal, needed, wanted) in [
        ("device:x/y", "a:b", "role \"two\" via bind[0]"),
        ("device:z", "a:b", "role \"one\" via bind[1]"),
        ("device:z", "c:d", "-default deny"),
        // A later binding that fits more closely does not take its place.
        ("device:q/r", "a:b", "role \"one\" via bind[1]"),
    ] {
        assert_eq!(rule(&policy, principal, &none, needed, NOW), wanted);
    }
    let scopes = policy.scopes_of(&"device:x/y".parse().unwrap(), &none, NOW);
    let scopes: Vec<_> = scopes
        .iter()
        .map(|(scope, rule)| format!("{scope} {rule}"))
        .collect();
    assert_eq!(
        scopes,
        [
            "a:b role \"two\" via bind[0]",
            "c:d role \"two\" via bind[0]",
            "a:b role \"one\" via bind[1]",
            "a:b role \"two\" via bind[2]",
            "c:d role \"two\" via bind[2]",
        ]
    );
}

#[test]
fn one_of_ten_thousand_bindings_is_found() {
    let mut document = "[[role]]\nname = \"r\"\nallow = [\"a:b@{self}\"]\n".to_owned();
    for n in 0..10_000 {
        document += &format!(
            "[[bind]]\nrole = \"r\"\nto = \"device:site-{}/d-{n}\"\n",
            n % 100
        );
    }
    let policy = compile(&document);
    let none = Labels::default();
    let ask = |site, n| {
        let path = format!("site-{site}/d-{n}");
        rule(
            &policy,
            &format!("device:{path}"),
            &none,
            &format!("a:b@{path}"),
            NOW,
        )
    };
    assert_eq!(ask(34, 1234), "role \"r\" via bind[1234]");
    assert_eq!(ask(35, 1234), "-default deny");
}
