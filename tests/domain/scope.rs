//! Scopes and request paths against brute force.

use portcullis::domain::{NormalisedPath, Scope};
use proptest::prelude::*;

/// What a scope or a pattern of paths means, by looking at each concrete path; written without the code's help.
pub fn matches(pattern: &str, path: &str) -> bool {
    fn walk(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            (["**"], _) => true, // the node and all below it
            ([], []) => true,
            ([wanted, pattern @ ..], [found, path @ ..]) => {
                (*wanted == "*" || wanted == found) && walk(pattern, path)
            }
            _ => false,
        }
    }
    let split = |text| str::split(text, '/').collect::<Vec<_>>();
    walk(&split(pattern), &split(path))
}

/// Whether a scope allows a concrete one (no `*` anywhere in it).
pub fn allows(scope: &str, concrete: &str) -> bool {
    let parts = |text: &str| {
        let (words, resource) = text.split_once('@').unwrap_or((text, "**"));
        let (service, action) = words.split_once(':').expect("a scope has a colon");
        [service, action, resource].map(str::to_owned)
    };
    let (scope, concrete) = (parts(scope), parts(concrete));
    let word = |n: usize| scope[n] == "*" || scope[n] == concrete[n];
    word(0) && word(1) && matches(&scope[2], &concrete[2])
}

/// Every concrete scope of a small universe. `z` stands in no pattern: it is "any other segment".
fn universe() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let mut longest: Vec<String> = vec![String::new()];
    for _ in 0..4 {
        longest = longest
            .iter()
            .flat_map(|path| {
                ["x", "y", "z"].map(|segment| {
                    format!("{path}/{segment}")
                        .trim_start_matches('/')
                        .to_owned()
                })
            })
            .collect();
        paths.extend(longest.iter().cloned());
    }
    let words = ["a:r", "a:w", "b:r", "c:q"];
    let pairs = words
        .iter()
        .flat_map(|w| paths.iter().map(move |p| format!("{w}@{p}")));
    pairs.collect()
}

fn resource(segments: &'static [&'static str]) -> impl Strategy<Value = String> {
    let segments = proptest::collection::vec(proptest::sample::select(segments), 0..=3);
    (segments, any::<bool>()).prop_map(|(segments, below)| {
        let mut segments = segments;
        if below || segments.is_empty() {
            segments.push("**");
        }
        segments.join("/")
    })
}

/// A scope as it is written, over a small alphabet.
pub fn written(segments: &'static [&'static str]) -> impl Strategy<Value = String> {
    let words = proptest::sample::select(&["a:r", "a:w", "b:r", "a:*", "*:r", "*:*"][..]);
    (words, resource(segments)).prop_map(|(words, resource)| format!("{words}@{resource}"))
}

fn parse(text: &str) -> Scope {
    Scope::parse_admin(text).expect(text)
}

const PATTERN: &[&str] = &["x", "y", "*"];
const TEMPLATE: &[&str] = &["x", "*", "{self}", "{label.site}", "A-_.~9"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn covering_overlapping_and_intersecting_are_what_brute_force_finds(
        a in written(PATTERN),
        b in written(PATTERN),
    ) {
        let universe = universe();
        let meant = |scope: &str| -> Vec<&String> {
            universe.iter().filter(|concrete| allows(scope, concrete)).collect()
        };
        let (by_a, by_b) = (meant(&a), meant(&b));
        let both: Vec<_> = by_a.iter().filter(|c| by_b.contains(c)).copied().collect();
        let (scope_a, scope_b) = (parse(&a), parse(&b));
        prop_assert_eq!(scope_a.covers(&scope_b), both.len() == by_b.len());
        prop_assert_eq!(scope_a.overlaps(&scope_b), !both.is_empty());
        let intersection = scope_a.intersection(&scope_b);
        prop_assert_eq!(intersection.is_some(), !both.is_empty());
        if let Some(intersection) = intersection {
            prop_assert_eq!(meant(&intersection.to_string()), both);
        }
        // Equal exactly when they mean the same.
        prop_assert_eq!(scope_a == scope_b, by_a == by_b);
    }

    #[test]
    fn a_scope_that_is_printed_reads_as_the_same_scope(text in written(TEMPLATE)) {
        let scope = parse(&text);
        let printed = scope.to_string();
        prop_assert_eq!(&parse(&printed), &scope);
        prop_assert_eq!(parse(&printed).to_string(), printed);
        if !scope.has_wildcard_word() {
            let json = serde_json::to_string(&scope).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), scope);
        }
    }

    /// Where `{self}` and labels stand, covering must hold for whatever they are filled in with.
    #[test]
    fn a_template_that_covers_another_covers_it_filled_in_too(
        a in written(TEMPLATE),
        b in written(TEMPLATE),
        path in "[xyA]{1,2}(/[xyA]{1,2}){0,2}",
        site in "[xyA]{1,2}",
    ) {
        let (scope_a, scope_b) = (parse(&a), parse(&b));
        let principal = format!("device:{path}").parse().unwrap();
        let labels = [("site".parse().unwrap(), site.parse().unwrap())].into_iter().collect();
        let filled_a = scope_a.expand(&principal, &labels).unwrap();
        let filled_b = scope_b.expand(&principal, &labels).unwrap();
        if scope_a.covers(&scope_b) {
            prop_assert!(filled_a.covers(&filled_b), "{} {}", filled_a, filled_b);
        }
        if filled_a.overlaps(&filled_b) {
            prop_assert!(scope_a.overlaps(&scope_b), "{} {}", filled_a, filled_b);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_offsets_lie_within_it(text in "\\PC{0,24}") {
        if let Err(error) = text.parse::<Scope>() {
            prop_assert!(error.offset <= text.len());
            prop_assert!(text.is_char_boundary(error.offset));
            prop_assert_eq!(error.found, text[error.offset..].chars().next());
        }
    }

    /// Trap 32: what is matched is what is forwarded, and a second normalisation would find nothing to do.
    #[test]
    fn normalising_a_path_twice_changes_nothing(
        path in "(/|[a-z.~;%\\\\]|%2[0-9a-f]|%[0-9A-F]{2}|[*{}?#ä ]){0,16}",
    ) {
        if let Ok(once) = NormalisedPath::new(&format!("/{path}")) {
            let twice = NormalisedPath::new(once.as_str());
            prop_assert_eq!(twice.as_ref(), Ok(&once));
            prop_assert!(once.as_str().starts_with('/') && !once.as_str().contains("//"));
            prop_assert!(once.segments().all(|segment| segment != "." && segment != ".."));
        }
    }
}
