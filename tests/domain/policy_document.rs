//! The policy document: what it may say, and what is said about a bad one.

use portcullis::domain::{Policy, PolicyContext, Principal};

fn context() -> PolicyContext {
    PolicyContext {
        trust_domain: "home.example".parse().unwrap(),
        local_admins: vec![Principal::local_user(1000)],
    }
}

fn errors(document: &str) -> Vec<String> {
    let errors = Policy::compile(document, &context()).expect_err(document);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn every_error_of_a_document_is_reported_at_once_with_its_line_and_column() {
    let document = r#"
[[role]]
name = "sensor"
allow = ["telemetry:write@devices/{self}/**", "config:Read"]
admim = true

[[role]]
name = "sensor"
allow = ["a:*"]

[[role]]
name = "admin"
allow = ["a:b"]

[[bind]]
role = "senser"
to = "device:fra/**/x"
when = { Site = ["fra"], zone = [] }
until = "tomorrow"

[[deny]]
to = "gadget:**"
scope = 7

[[route]]
host = "api.example:443"
path = "/v1/{device...}/{device}"
methods = ["get", "*"]
auth = ["certificate", "apikey"]
scope = "telemetry:write@devices/{device...}"
upstream = "https://127.0.0.1:9000"

[[route]]
host = "api.example"
path = "/v1/{device}"
methods = ["GET"]
scope = "telemetry:write@{device...}/{other}"
upstream = "http://127.0.0.1:9000"

[[route]]
host = "API.example."
path = "/v1/{id}"
methods = ["POST", "GET"]
upstream = "http://127.0.0.1:9000"

[[anchor]]
id = "fleet"

[[roles]]
name = "x"
"#;
    let wanted = [
        "line 4, column 55: scope \"config:Read\": at offset 7 found 'R', but the action wants a lower-case letter",
        "line 5, column 1: role[0] has no key \"admim\"; did you mean \"admin\"? (it has name, admin, allow)",
        "line 8, column 8: two roles are called \"sensor\"; the other is on line 3",
        "line 9, column 13: scope \"a:*\": at offset 2 found '*', but the action wants a name; \"*\" is only for roles \
         marked admin = true",
        "line 12, column 8: the role \"admin\" is built in; choose another name",
        "line 16, column 8: no role is called \"senser\"; did you mean \"sensor\"?",
        "line 17, column 20: pattern of principals \"device:fra/**/x\": at offset 13 found '/', but \"**\" wants nothing \
         behind it: it is the last segment, alone",
        "line 18, column 10: label name \"Site\": at offset 0 found 'S', but a label's name wants a lower-case letter",
        "line 18, column 33: no value of zone is allowed here, so bind[0] never holds",
        "line 19, column 9: \"tomorrow\" is no RFC 3339 time, for example 2027-01-01T00:00:00Z",
        "line 22, column 7: pattern of principals \"gadget:**\": at offset 0 found 'g', but the kind wants device, \
         service or user",
        "line 23, column 9: scope of deny[0] is a text, not of type integer",
        "line 26, column 8: a route's host has no port: it is for every port that the gate listens on",
        "line 27, column 8: the parameter {device} occurs twice",
        "line 28, column 12: \"get\" is no method; methods are case-sensitive, for example \"GET\"",
        "line 28, column 19: \"*\" is every method: it stands alone",
        "line 29, column 24: \"apikey\" is no way to authenticate; did you mean \"api-key\"? (one of certificate, api-key)",
        "line 31, column 12: an upstream is http://HOST:PORT, without user, path, query or fragment",
        "line 37, column 9: the path /v1/{device} has no parameter {other}",
        "line 37, column 9: {device} is one segment in the path /v1/{device}: write {device} here too",
        "line 42, column 8: route[2] is ambiguous: route[1] (/v1/{device}) could match the same request equally",
        "line 46, column 3: [[anchor]] is not supported yet: only the built-in authority is trusted, which is the \
         anchor \"internal\" and needs neither [[anchor]] nor [[map]]",
        "line 49, column 3: the policy has no key \"roles\"; did you mean \"role\"? (it has anchor, map, role, bind, deny, \
         route)",
    ];
    let found = errors(document);
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.len(), wanted.len(), "{}", found.join("\n"));
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    for (document, wanted) in [
        (
            "[[role]]",
            &[
                "line 1, column 1: role[0] lacks allow",
                "line 1, column 1: role[0] lacks name",
            ][..],
        ),
        (
            "[role]\nname = \"x\"",
            &["line 1, column 1: role is a list of tables: write [[role]]"],
        ),
        (
            "role = 3",
            &["line 1, column 8: role is a list of tables: write [[role]]"],
        ),
        (
            "role = [3]",
            &["line 1, column 9: role is a list of tables: write [[role]]"],
        ),
        (
            "[[role]]\nname = \"x\"\nallow = [1]",
            &["line 3, column 10: allow of role[0] is a list of texts, not of type integer"],
        ),
        (
            "[[role]]\nname = \"x\"\nallow = []",
            &["line 3, column 9: allow of role[0] is empty, which means nothing at all"],
        ),
        (
            "[[role]]\nname = \"x\"\nadmin = 1\nallow = [\"a:b\"]",
            &["line 3, column 9: admin of role[0] is true or false, not of type integer"],
        ),
        // An escape moves what follows it, so the place is the value's beginning.
        (
            "[[role]]\nname = \"x\"\nallow = [\"a\\u003aB\"]",
            &[
                "line 3, column 10: scope \"a:B\": at offset 2 found 'B', but the action wants a lower-case letter",
            ],
        ),
        (
            "[[deny]]\nto = \"device:**\"\nscope = \"ä:b\"",
            &[
                "line 3, column 10: scope \"ä:b\": at offset 0 found 'ä', but the service wants a lower-case letter",
            ],
        ),
    ] {
        assert_eq!(errors(document), wanted, "{document}");
    }
    // Text that isn't TOML: at least its place.
    for (document, place) in [
        ("[[role]]\nname = ", "line 2, column 8:"),
        ("[[role]\nname = \"x\"", "line 1, column"),
        ("[[role]]\nname = \"x\"\nname = \"y\"", "line 3, column 1:"),
    ] {
        let errors = errors(document);
        assert!(errors[0].starts_with(place), "{errors:?}");
    }
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let document = "[[role]]\nname = \"x\"\nallow = [\"a:b\"]\n[[route]]\nhost = \"*\"\npath = \"/\"\n\
                    methods = [\"*\"]\nupstream = \"http://localhost\"\n";
    let policy = Policy::compile(document, &context()).expect("only warnings");
    let warnings: Vec<_> = policy.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 2, column 8: nobody has the role \"x\"",
            "line 4, column 1: route[0] has no scope, so it denies everyone"
        ]
    );
    assert_eq!(
        policy.routes()[0].upstream.to_string(),
        "http://localhost:80"
    );
}

#[test]
fn an_empty_document_is_a_policy() {
    for document in ["", "# nothing\n"] {
        let policy = Policy::compile(document, &context()).expect("an empty policy");
        assert!(policy.routes().is_empty() && policy.warnings().is_empty());
    }
}
