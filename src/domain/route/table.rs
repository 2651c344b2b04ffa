//! Every route, arranged so that a request finds its own without looking at the others: a trie of segments per host.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Host, Methods, PathSegment, Route, Target};
use crate::domain::request_path::NormalisedPath;

/// The routes of a policy.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    by_host: HashMap<Host, Node>,
    any_host: Node,
}

/// What follows after some segments of a path.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    capture: Option<Box<Node>>,
    /// Behind a `{name...}`, by the number of segments that follow it.
    rests: BTreeMap<usize, Node>,
    /// The routes whose path ends here, as places in `RouteTable::routes`; no two of them share a method.
    here: Vec<usize>,
}

impl RouteTable {
    /// Adds a route.
    ///
    /// # Errors
    /// The route that could match the very same request, when there is one.
    pub(crate) fn insert(&mut self, route: Route) -> Result<(), Arc<Route>> {
        let mut node = match &route.host {
            Some(host) => self.by_host.entry(host.clone()).or_default(),
            None => &mut self.any_host,
        };
        let segments = route.path.segments();
        for (at, segment) in segments.iter().enumerate() {
            node = match segment {
                PathSegment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                PathSegment::Capture(_) => node.capture.get_or_insert_default(),
                PathSegment::CaptureRest(_) => {
                    node.rests.entry(segments.len() - at - 1).or_default()
                }
            };
        }
        for place in &node.here {
            if let Some(other) = self.routes.get(*place)
                && share_a_method(&other.methods, &route.methods)
            {
                return Err(Arc::clone(other));
            }
        }
        node.here.push(self.routes.len());
        self.routes.push(Arc::new(route));
        Ok(())
    }

    /// The route of a request and what it needs.
    #[must_use]
    pub fn target(&self, host: &Host, method: &str, path: &NormalisedPath) -> Target {
        let segments: Vec<&str> = path.segments().collect();
        let found = self
            .by_host
            .get(host)
            .and_then(|node| node.find(&segments))
            .or_else(|| self.any_host.find(&segments));
        let Some(places) = found else {
            return Target::NoRoute;
        };
        let here = || places.iter().filter_map(|place| self.routes.get(*place));
        if let Some(route) = here()
            .find(|route| route.methods.names(method))
            .or_else(|| here().find(|route| route.methods == Methods::Any))
        {
            return Target::of(route, path);
        }
        let mut allow = Vec::new();
        for route in here() {
            match &route.methods {
                Methods::Any => {}
                Methods::Named(methods) => allow.extend(methods.iter().cloned()),
            }
        }
        Target::MethodNotAllowed { allow }
    }

    /// Every route, in the order of the document.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }
}

impl Node {
    /// The routes with the most specific path that matches. Each node of the trie is looked at once at most.
    fn find(&self, segments: &[&str]) -> Option<&[usize]> {
        let Some((first, others)) = segments.split_first() else {
            return (!self.here.is_empty()).then_some(self.here.as_slice());
        };
        if let Some(found) = self.literals.get(*first).and_then(|node| node.find(others)) {
            return Some(found);
        }
        if first.is_empty() {
            return None;
        }
        if let Some(found) = self.capture.as_ref().and_then(|node| node.find(others)) {
            return Some(found);
        }
        // The more segments follow the rest, the sooner a segment is matched by something more specific.
        self.rests.iter().rev().find_map(|(behind, node)| {
            let taken = segments.len().checked_sub(*behind)?;
            let (taken, behind) = segments.split_at(taken);
            (taken.last().is_some_and(|last| !last.is_empty()))
                .then(|| node.find(behind))
                .flatten()
        })
    }
}

fn share_a_method(a: &Methods, b: &Methods) -> bool {
    match (a, b) {
        (Methods::Any, Methods::Any) => true,
        (Methods::Named(a), Methods::Named(b)) => a.iter().any(|method| b.contains(method)),
        (Methods::Any, Methods::Named(_)) | (Methods::Named(_), Methods::Any) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::{AuthMethod, Need};

    fn route(index: usize, host: &str, methods: &[&str], path: &str, scope: &str) -> Route {
        Route {
            index,
            host: (host != "*").then(|| host.parse().expect(host)),
            path: path.parse().expect(path),
            methods: if methods == ["*"] {
                Methods::Any
            } else {
                Methods::Named(methods.iter().map(|m| Box::from(*m)).collect())
            },
            auth: vec![AuthMethod::Certificate],
            scope: (!scope.is_empty())
                .then(|| crate::domain::Scope::parse_for_route(scope).expect(scope)),
            upstream: "http://127.0.0.1:9000".parse().expect("an upstream"),
        }
    }

    fn table(routes: &[(&str, &[&str], &str, &str)]) -> RouteTable {
        let mut table = RouteTable::default();
        for (index, (host, methods, path, scope)) in routes.iter().enumerate() {
            table
                .insert(route(index, host, methods, path, scope))
                .expect("no two routes are ambiguous");
        }
        table
    }

    fn find(table: &RouteTable, request: &str) -> String {
        let mut words = request.split(' ');
        let mut word = || words.next().expect("METHOD HOST PATH");
        let (method, host, path) = (word(), word(), word());
        let path = NormalisedPath::new(path).expect(path);
        match table.target(&host.parse().expect(host), method, &path) {
            Target::Route { route, need } => match need {
                Need::Scope(scope) => format!("{} {scope}", route.index),
                Need::NotStated => format!("{} -", route.index),
                Need::Unnameable { parameter } => format!("{} !{parameter}", route.index),
            },
            Target::NoRoute => "none".to_owned(),
            Target::MethodNotAllowed { allow } => format!("allow {}", allow.join(",")),
        }
    }

    #[test]
    fn a_literal_beats_a_parameter_which_beats_a_rest() {
        let table = table(&[
            ("a.example", &["GET"], "/v1/x/{id}", "x:read@{id}"),
            ("a.example", &["GET"], "/v1/x/me", "x:read@me"),
            ("a.example", &["POST"], "/v1/x/{id}", "x:write@{id}"),
            ("a.example", &["GET"], "/v1/{rest...}", "x:any@{rest...}"),
            (
                "a.example",
                &["GET"],
                "/v1/{rest...}/end",
                "x:end@{rest...}",
            ),
            (
                "a.example",
                &["GET"],
                "/v1/{rest...}/{last}/end",
                "x:last@{rest...}/of/{last}",
            ),
            (
                "a.example",
                &["*"],
                "/v1/{rest...}/end/",
                "x:slash@{rest...}",
            ),
            ("*", &["GET"], "/v1/x/me", "other:read"),
            ("*", &["*"], "/", "root:any"),
            ("*", &["GET"], "/free/{x}", ""),
            ("*", &["PUT"], "/a/{x}/c", "p:q@{x}"),
            ("*", &["PUT"], "/a/b/d", "p:q@lit"),
        ]);
        for (request, found) in [
            ("GET a.example /v1/x/me", "1 x:read@me"),
            ("GET A.Example.:443 /v1/x/7", "0 x:read@7"),
            ("POST a.example /v1/x/7", "2 x:write@7"),
            // The most specific path decides alone, whatever laxer routes allow.
            ("POST a.example /v1/x/me", "allow GET"),
            ("GET a.example /v1/x/7/8", "3 x:any@x/7/8"),
            ("GET a.example /v1/x/7/", "none"),
            ("GET a.example /v1/", "none"),
            ("GET b.example /free/", "none"),
            ("GET a.example /v1", "none"),
            ("GET a.example /v1/x/end", "0 x:read@end"),
            ("GET a.example /v1/y/end", "4 x:end@y"),
            ("GET a.example /v1/y/z/w/end", "5 x:last@y/z/of/w"),
            ("DELETE a.example /v1/y/z/end/", "6 x:slash@y/z"),
            ("GET b.example /v1/x/me", "7 other:read"),
            ("GET b.example /v1/x/7", "none"),
            ("PATCH b.example /", "8 root:any"),
            ("GET b.example /free/x", "9 -"),
            ("PUT b.example /a/b/c", "10 p:q@b"),
            ("PUT b.example /a/b/d", "11 p:q@lit"),
            ("PUT b.example /a/B/d", "none"),
            ("get b.example /free/x", "allow GET"),
            // A segment that no scope can name.
            ("GET a.example /v1/x/*", "0 !id"),
            ("GET a.example /v1/x/a%20b", "0 !id"),
            ("GET a.example /v1/q/**", "3 !rest"),
        ] {
            assert_eq!(find(&table, request), found, "{request}");
        }
    }

    #[test]
    fn two_routes_that_could_match_equally_are_ambiguous() {
        for (a, b, ambiguous) in [
            (("*", "GET", "/a/{x}"), ("*", "GET", "/a/{y}"), true),
            (("*", "GET", "/a/{x}"), ("*", "POST", "/a/{y}"), false),
            (("*", "GET", "/a/{x}"), ("*", "*", "/a/{y}"), false),
            (("*", "*", "/a/{x}"), ("*", "*", "/a/{y}"), true),
            (
                ("*", "GET", "/a/{x}"),
                ("h.example", "GET", "/a/{x}"),
                false,
            ),
            (
                ("H.example", "GET", "/a"),
                ("h.example.", "GET", "/%61"),
                true,
            ),
            (("*", "GET", "/a"), ("*", "GET", "/a/"), false),
            (("*", "GET", "/{x...}/b"), ("*", "GET", "/{y...}/b"), true),
            (
                ("*", "GET", "/{x...}/b"),
                ("*", "GET", "/{y...}/{z}"),
                false,
            ),
        ] {
            let mut table = RouteTable::default();
            let make = |index, (host, method, path): (&str, &str, &str)| {
                route(index, host, &[method], path, "")
            };
            table.insert(make(0, a)).expect("the first");
            let second = table.insert(make(1, b));
            assert_eq!(second.is_err(), ambiguous, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_path_that_no_request_can_have_or_that_is_written_wrongly_is_refused() {
        for (bad, word) in [
            ("", "begin with"),
            ("a", "begin with"),
            ("/a//b", "empty segment"),
            ("/a/../b", "'..' segment"),
            ("/a;b", "';'"),
            ("/a%2fb", "encoded '/'"),
            ("/a?b", "'?'"),
            ("/*", "write {name}"),
            ("/a/**", "write {name}"),
            ("/x{name}", "no segment"),
            ("/{Name}", "no segment"),
            ("/{}", "no segment"),
            ("/{self}", "no segment"),
            ("/{a..}", "no segment"),
            ("/{a}/{a...}", "occurs twice"),
            ("/{a...}/{b...}", "only one"),
        ] {
            let error = bad
                .parse::<crate::domain::route::RoutePath>()
                .expect_err(bad);
            assert!(error.to_string().contains(word), "{bad}: {error}");
        }
    }

    #[test]
    fn hosts_are_read_in_any_spelling_and_bad_ones_refused() {
        for (sent, host) in [
            ("Api.Example", "api.example"),
            ("api.example.", "api.example"),
            ("api.example:8443", "api.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(sent.parse::<Host>().expect(sent).as_str(), host);
        }
        for bad in [
            "", ".", "a..b", "a@b", "a/b", "a b", "a\0", "[::1", "[x]", "::1", "a:b", "a:99999",
            "a:+1", "a:1:2", "[::1]x", "ä", "*",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }
}
