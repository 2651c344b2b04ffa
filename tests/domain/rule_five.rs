//! Rule 5: whatever lets someone act as a principal, or raises it, is only for who may all of that already.

use portcullis::domain::{
    Labels, Policy, Scope, Timestamp,
    policy::{Subject, WhyWidens},
};

use super::policy::{compile, labels};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const POLICY: &str = r#"
[[role]]
name = "sensor"
allow = ["telemetry:write@devices/{self}/**", "config:read@devices/{self}"]

[[role]]
name = "auditor"
allow = ["audit:read"]

[[role]]
name = "fleet"
allow = ["keys:mint@device/**", "telemetry:write@devices/**", "config:read@devices/**", "config:delete@devices/**"]

[[bind]]
role = "sensor"
to = "device:fra/**"

[[bind]]
role = "auditor"
to = "device:**"
when = { duty = ["audit"] }

[[bind]]
role = "fleet"
to = "user:ops/*"

[[bind]]
role = "fleet"
to = "device:cleaner"

[[bind]]
role = "fleet"
to = "device:denied-cleaner"

[[deny]]
to = "user:ops/*"
scope = "config:delete@devices/prod/**"

[[deny]]
to = "device:denied-cleaner"
scope = "config:delete@devices/prod/**"

[[deny]]
to = "device:denied-cleaner"
scope = "keys:mint"

[[role]]
name = "root"
allow = ["root:use"]

[[bind]]
role = "root"
to = "device:denied-cleaner"

[[deny]]
to = "device:denied-cleaner"
scope = "root:use"
"#;

struct Attempt<'a> {
    actor: &'a str,
    actor_only: Option<&'a [&'a str]>,
    target: &'a str,
    target_labels: &'a [(&'a str, &'a str)],
    target_only: Option<&'a [&'a str]>,
    administers: &'a str,
}

impl Attempt<'_> {
    fn outcome(&self, policy: &Policy) -> String {
        let scopes = |only: Option<&[&str]>| -> Option<Vec<Scope>> {
            only.map(|only| only.iter().map(|scope| scope.parse().unwrap()).collect())
        };
        let (actor_only, target_only) = (scopes(self.actor_only), scopes(self.target_only));
        let target_labels = labels(self.target_labels);
        let actor = Subject {
            principal: &self.actor.parse().unwrap(),
            labels: &Labels::default(),
            only: actor_only.as_deref(),
        };
        let target = Subject {
            principal: &self.target.parse().unwrap(),
            labels: &target_labels,
            only: target_only.as_deref(),
        };
        match policy.may_act_for(actor, target, &self.administers.parse().unwrap(), NOW) {
            Ok(()) => "may".to_owned(),
            Err(widens) => {
                let why = match widens.why {
                    WhyWidens::NotAdministered(_) => "not administered".to_owned(),
                    WhyWidens::NotHeld(rule) => format!("not held, {rule}"),
                    WhyWidens::Denied(index) => format!("deny[{index}]"),
                };
                format!("{}: {why}", widens.missing)
            }
        }
    }
}

/// Trap 38: a key minted with scopes that its minter lacks (UCM #163).
#[test]
fn nobody_lends_what_it_has_not_got() {
    let policy = compile(POLICY);
    let fresh = Attempt {
        actor: "user:ops/ada",
        actor_only: None,
        target: "device:fra/a",
        target_labels: &[],
        target_only: None,
        administers: "keys:mint@device/fra/a",
    };
    let nobody = Attempt {
        target: "device:muc/a",
        administers: "keys:mint@device/muc/a",
        ..fresh
    };
    let service = Attempt {
        target: "service:x",
        administers: "keys:mint@service/x",
        ..fresh
    };
    let labelled = Attempt {
        target_labels: &[("duty", "audit")],
        ..fresh
    };
    let narrowed_label = Attempt {
        target_labels: &[("duty", "audit")],
        target_only: Some(&["config:read"]),
        ..fresh
    };
    let narrowed_actor = Attempt {
        actor_only: Some(&["keys:mint", "config:read@devices/fra/**"]),
        ..fresh
    };
    let both_narrowed = Attempt {
        actor_only: Some(&["keys:mint", "config:read@devices/fra/**"]),
        target_only: Some(&["config:read@devices/{self}"]),
        ..fresh
    };
    let without_minting = Attempt {
        actor_only: Some(&["config:read"]),
        ..fresh
    };
    let cleaner = Attempt {
        target: "device:cleaner",
        administers: "keys:mint@device/cleaner",
        ..fresh
    };
    let harmless_cleaner = Attempt {
        target_only: Some(&["config:delete@devices/test/**"]),
        ..cleaner
    };
    let denied_cleaner = Attempt {
        target: "device:denied-cleaner",
        administers: "keys:mint@device/denied-cleaner",
        ..fresh
    };
    let operator = Attempt {
        actor: "user:local/1000",
        ..labelled
    };
    let raise_operator = Attempt {
        target: "user:local/1000",
        administers: "keys:mint@device/x",
        ..fresh
    };
    for (attempt, wanted) in [
        (&fresh, "may"),
        (&nobody, "may"),
        (&service, "keys:mint@service/x: not administered"),
        (
            &labelled,
            "audit:read: not held, role \"auditor\" via bind[1]",
        ),
        (&narrowed_label, "may"),
        (
            &narrowed_actor,
            "telemetry:write@devices/fra/a/**: not held, role \"sensor\" via bind[0]",
        ),
        (&both_narrowed, "may"),
        (&without_minting, "keys:mint@device/fra/a: not administered"),
        (&cleaner, "config:delete@devices/**: deny[0]"),
        (&harmless_cleaner, "may"),
        // What is denied to the target is not lent, whether the actor has it (and is denied it) or not.
        (&denied_cleaner, "may"),
        (&operator, "may"),
        (
            &raise_operator,
            "*:*: not held, role \"admin\" of the local operator",
        ),
    ] {
        assert_eq!(
            attempt.outcome(&policy),
            wanted,
            "{} for {}",
            attempt.actor,
            attempt.target
        );
    }
}
