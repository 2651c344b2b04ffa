//! The decision against a naive oracle: random policies over a small world, every outcome compared.

use portcullis::domain::{
    CredentialKind, Labels, Policy, PolicyContext, Principal, Scope, Timestamp, policy::Narrowing,
};
use proptest::{prelude::*, sample::select};

use super::scope::{allows, matches};

/// A random policy with a question to it.
#[derive(Debug, Clone)]
struct World {
    roles: Vec<Vec<String>>,
    /// Role, to, `when` label `site`, whether it has run out.
    bindings: Vec<(usize, String, Option<String>, bool)>,
    denies: Vec<(String, String)>,
    principal: String,
    site: Option<String>,
    only: Option<Vec<String>>,
    needed: String,
}

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn scope(
    words: &'static [&'static str],
    segments: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let segments = proptest::collection::vec(select(segments), 1..=3);
    (select(words), segments, any::<bool>()).prop_map(|(words, segments, below)| {
        let below = if below { "/**" } else { "" };
        format!("{words}@{}{below}", segments.join("/"))
    })
}

fn allowed_scope() -> impl Strategy<Value = String> {
    scope(
        &["a:r", "a:w", "b:r"],
        &["x", "y", "*", "{self}", "{label.site}"],
    )
}

fn pattern() -> impl Strategy<Value = String> {
    let paths = &["**", "x", "y", "*", "x/**", "*/y", "x/y", "y/**", "*/*"][..];
    (select(&["device", "device", "user"][..]), select(paths))
        .prop_map(|(kind, path)| format!("{kind}:{path}"))
}

fn world() -> impl Strategy<Value = World> {
    let many = |max| 0..=max;
    let site = || select(&["x", "y", "x/y", "*", "**"][..]).prop_map(str::to_owned);
    (
        proptest::collection::vec(proptest::collection::vec(allowed_scope(), 1..=3), 1..=3),
        proptest::collection::vec(
            (
                0_usize..3,
                pattern(),
                proptest::option::weighted(0.3, site()),
                proptest::bool::weighted(0.2),
            ),
            1..=6,
        ),
        proptest::collection::vec((pattern(), allowed_scope()), many(2)),
        select(
            &[
                "device:x",
                "device:y",
                "device:x/y",
                "device:y/x/x",
                "user:x",
            ][..],
        ),
        proptest::option::of(site()),
        proptest::option::weighted(0.3, proptest::collection::vec(allowed_scope(), many(3))),
        (
            scope(&["a:r", "a:w", "b:r"], &["x", "y", "z"]),
            proptest::option::weighted(0.8, (0_usize..3, 0_usize..3)),
        ),
    )
        .prop_map(
            |(roles, bindings, denies, principal, site, only, (needed, aim))| {
                let bindings = bindings
                    .into_iter()
                    .map(|(role, to, when, over)| (role % roles.len(), to, when, over))
                    .collect();
                let mut world = World {
                    bindings,
                    roles,
                    denies,
                    principal: principal.to_owned(),
                    site,
                    only,
                    needed: needed.replace("/**", ""),
                };
                if let Some((role, scope)) = aim {
                    world.aim(role, scope);
                }
                world
            },
        )
}

impl World {
    /// Asks for something that one of the scopes allows; a question at random would nearly always be refused.
    fn aim(&mut self, role: usize, scope: usize) {
        let role = &self.roles[role % self.roles.len()];
        let scope = &role[scope % role.len()];
        let filled = self.filled(scope).unwrap_or_else(|| {
            scope
                .replace("{label.site}", "x")
                .replace("{self}", self.path())
        });
        self.needed = filled.replace("/**", "/z").replace('*', "y");
    }

    fn document(&self) -> String {
        let quoted = |texts: &[String]| format!("{texts:?}");
        let mut text = String::new();
        for (index, allow) in self.roles.iter().enumerate() {
            text += &format!("[[role]]\nname = \"r{index}\"\nallow = {}\n", quoted(allow));
        }
        for (role, to, when, over) in &self.bindings {
            text += &format!("[[bind]]\nrole = \"r{role}\"\nto = {to:?}\n");
            if let Some(site) = when {
                text += &format!("when = {{ site = [{site:?}] }}\n");
            }
            // The first is the very moment of the question, at which the binding no longer holds.
            text += if *over {
                "until = \"2027-01-15T08:00:00Z\"\n"
            } else {
                "until = \"2027-01-15T08:00:01Z\"\n"
            };
        }
        for (to, scope) in &self.denies {
            text += &format!("[[deny]]\nto = {to:?}\nscope = {scope:?}\n");
        }
        text
    }

    fn path(&self) -> &str {
        self.principal.split_once(':').unwrap().1
    }

    /// The scope filled in as text; `None` when the label is missing or is no plain segment.
    fn filled(&self, scope: &str) -> Option<String> {
        let scope = scope.replace("{self}", self.path());
        if !scope.contains("{label.site}") {
            return Some(scope);
        }
        let site = self
            .site
            .as_ref()
            .filter(|site| site.chars().all(char::is_alphanumeric))?;
        Some(scope.replace("{label.site}", site))
    }

    fn meant(&self, pattern: &str) -> bool {
        let (kind, path) = pattern.split_once(':').unwrap();
        self.principal.starts_with(&format!("{kind}:")) && matches(path, self.path())
    }

    fn allows(&self, scope: &str) -> bool {
        self.filled(scope)
            .is_some_and(|scope| allows(&scope, &self.needed))
    }

    /// What the permission model says, read aloud.
    fn oracle(&self) -> bool {
        let bound = self.bindings.iter().any(|(role, to, when, over)| {
            self.meant(to)
                && !over
                && when
                    .as_ref()
                    .is_none_or(|site| self.site.as_ref() == Some(site))
                && self.roles[*role].iter().any(|scope| self.allows(scope))
        });
        let narrowed = self
            .only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|scope| self.allows(scope)));
        let denied = self.denies.iter().any(|(to, scope)| {
            self.meant(to)
                && match self.filled(scope) {
                    Some(scope) => allows(&scope, &self.needed),
                    // What it takes away can't be known: all of it.
                    None => allows(scope.split_once('@').unwrap().0, &self.needed),
                }
        });
        bound && !narrowed && !denied
    }

    fn labels(&self) -> Labels {
        let site = self
            .site
            .iter()
            .map(|site| ("site".parse().unwrap(), site.parse().unwrap()));
        site.collect()
    }

    fn decide(&self, only: Option<&[Scope]>) -> bool {
        let policy = Policy::compile(&self.document(), &context()).expect("a good document");
        let principal: Principal = self.principal.parse().unwrap();
        let needed: Scope = self.needed.parse().unwrap();
        let narrowings: Vec<_> = only
            .map(|only| Narrowing {
                by: CredentialKind::ApiKey,
                only,
            })
            .into_iter()
            .collect();
        policy
            .permits(&principal, &self.labels(), &narrowings, &needed, NOW)
            .is_ok()
    }
}

fn context() -> PolicyContext {
    PolicyContext {
        trust_domain: "home.example".parse().unwrap(),
        local_admins: vec![Principal::local_user(1000)],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Never a permit without a covering role, never one against a deny, and never a refusal without a reason.
    #[test]
    fn every_decision_is_the_naive_one(world in world()) {
        let only: Option<Vec<Scope>> = world
            .only
            .as_ref()
            .map(|only| only.iter().map(|scope| scope.parse().unwrap()).collect());
        prop_assert_eq!(world.decide(only.as_deref()), world.oracle(), "{}", world.document());
    }

    #[test]
    fn narrowing_never_widens(world in world()) {
        let only: Vec<Scope> = world
            .only
            .iter()
            .flatten()
            .map(|scope| scope.parse().unwrap())
            .collect();
        if world.decide(Some(&only)) {
            prop_assert!(world.decide(None), "{}", world.document());
        }
    }
}

#[test]
fn the_random_worlds_hold_permits_and_refusals() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let permits = (0..1000)
        .filter(|_| world().new_tree(&mut runner).unwrap().current().oracle())
        .count();
    assert!((100..900).contains(&permits), "{permits} of 1000");
}
