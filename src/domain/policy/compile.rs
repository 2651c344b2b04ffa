//! From the document as read to the policy as decided by: every name found, every scope and pattern parsed.

use std::{collections::HashMap, ops::Range};

use super::{
    Policy, PolicyContext,
    binding::{Binding, Deny},
    document::{self, BindEntry, DenyEntry, Document, RoleEntry, RouteEntry, Text, nearest},
    error::{PolicyErrors, Report},
    role::Role,
};
use crate::domain::{
    GrammarError, Timestamp,
    labels::{LabelName, LabelValue},
    route::{AuthMethod, Methods, ParameterWidth, Route, RoutePath},
    scope::Scope,
};

pub(super) fn compile(text: &str, context: &PolicyContext) -> Result<Policy, PolicyErrors> {
    let mut report = Report::new(text);
    let document = document::read(text, &mut report);
    let mut compiler = Compiler {
        policy: Policy::empty(context),
        roles: HashMap::from([(
            Policy::ADMIN_ROLE.to_owned(),
            NamedRole {
                index: 0,
                place: None,
                bound: true,
            },
        )]),
        report,
    };
    compiler.document(&document);
    let Compiler {
        mut policy, report, ..
    } = compiler;
    policy.warnings = report.finish()?;
    Ok(policy)
}

struct Compiler<'t> {
    policy: Policy,
    roles: HashMap<String, NamedRole>,
    report: Report<'t>,
}

struct NamedRole {
    index: usize,
    /// Where it is named; the built-in one is nowhere.
    place: Option<Range<usize>>,
    bound: bool,
}

impl Compiler<'_> {
    fn document(&mut self, document: &Document) {
        for role in &document.roles {
            self.role(role);
        }
        for binding in &document.bindings {
            self.binding(binding);
        }
        for deny in &document.denies {
            self.deny(deny);
        }
        for (index, route) in document.routes.iter().enumerate() {
            self.route(index, route);
        }
        // With errors elsewhere, what is unused now may be used when they are mended.
        if self.report.has_errors() {
            return;
        }
        for (name, role) in &self.roles {
            if let (Some(place), false) = (&role.place, role.bound) {
                self.report
                    .warning(place, format_args!("nobody has the role {name:?}"));
            }
        }
    }

    fn parse<T: std::str::FromStr<Err = GrammarError>>(&mut self, text: &Text) -> Option<T> {
        let parsed = text.get_ref().parse();
        self.grammar(text, parsed)
    }

    fn grammar<T>(&mut self, text: &Text, parsed: Result<T, GrammarError>) -> Option<T> {
        parsed
            .map_err(|error| {
                let offset = error.offset;
                self.report
                    .error_within(&text.span(), text.get_ref(), offset, error);
            })
            .ok()
    }

    fn role(&mut self, entry: &RoleEntry) {
        let scopes = entry
            .allow
            .iter()
            .filter_map(|text| {
                let parsed = if entry.admin {
                    Scope::parse_admin(text.get_ref())
                } else {
                    text.get_ref().parse()
                };
                self.grammar(text, parsed)
            })
            .collect();
        let Some(name) = &entry.name else { return };
        if name.get_ref().is_empty() || name.get_ref().chars().any(|c| c.is_control() || c == '"') {
            let message =
                "a role's name is not empty and has neither quotes nor control characters";
            return self.report.error(&name.span(), message);
        }
        if let Some(other) = self.roles.get(name.get_ref()) {
            let message = match &other.place {
                Some(place) => format!(
                    "two roles are called {:?}; the other is on line {}",
                    name.get_ref(),
                    self.report.line(place)
                ),
                None => format!(
                    "the role {:?} is built in; choose another name",
                    name.get_ref()
                ),
            };
            return self.report.error(&name.span(), message);
        }
        let named = NamedRole {
            index: self.policy.roles.len(),
            place: Some(name.span()),
            bound: false,
        };
        self.roles.insert(name.get_ref().clone(), named);
        self.policy.roles.push(Role::new(name.get_ref(), scopes));
    }

    fn binding(&mut self, entry: &BindEntry) {
        let role = entry.role.as_ref().and_then(|name| self.role_named(name));
        let to = entry.to.as_ref().and_then(|text| self.parse(text));
        let mut when: Vec<(LabelName, Vec<LabelValue>)> = entry
            .when
            .iter()
            .filter_map(|(name, values)| {
                let name = self.parse(name);
                let values = values
                    .iter()
                    .filter_map(|value| self.parse(value))
                    .collect();
                Some((name?, values))
            })
            .collect();
        when.sort();
        let until = entry.until.as_ref().and_then(|text| self.moment(text));
        let (Some(role), Some(to)) = (role, to) else {
            return;
        };
        let index = self.policy.bindings.len();
        self.policy
            .bindings_by_principal
            .insert(&to, when.first(), index);
        self.policy.bindings.push(Binding {
            role,
            to,
            when,
            until,
        });
    }

    fn role_named(&mut self, name: &Text) -> Option<usize> {
        if let Some(role) = self.roles.get_mut(name.get_ref()) {
            role.bound = true;
            return Some(role.index);
        }
        let near = nearest(name.get_ref(), self.roles.keys().map(String::as_str))
            .map(|near| format!("; did you mean {near:?}?"))
            .unwrap_or_default();
        self.report.error(
            &name.span(),
            format_args!("no role is called {:?}{near}", name.get_ref()),
        );
        None
    }

    fn moment(&mut self, text: &Text) -> Option<Timestamp> {
        let moment = text.get_ref().parse().ok();
        if moment.is_none() {
            let message = format!(
                "{:?} is no RFC 3339 time, for example 2027-01-01T00:00:00Z",
                text.get_ref()
            );
            self.report.error(&text.span(), message);
        }
        moment
    }

    fn deny(&mut self, entry: &DenyEntry) {
        let to = entry.to.as_ref().and_then(|text| self.parse(text));
        let scope = entry.scope.as_ref().and_then(|text| self.parse(text));
        let (Some(to), Some(scope)) = (to, scope) else {
            return;
        };
        let index = self.policy.denies.len();
        self.policy.denies_by_principal.insert(&to, None, index);
        self.policy.denies.push(Deny { to, scope });
    }

    fn route(&mut self, index: usize, entry: &RouteEntry) {
        let host = entry.host.as_ref().and_then(|text| {
            if text.get_ref() == "*" {
                return Some(None);
            }
            let host: Option<crate::domain::route::Host> = self.other(text);
            if host.is_some()
                && text
                    .get_ref()
                    .rsplit(']')
                    .next()
                    .is_some_and(|h| h.contains(':'))
            {
                let message =
                    "a route's host has no port: it is for every port that the gate listens on";
                self.report.error(&text.span(), message);
            }
            host.map(Some)
        });
        let path: Option<RoutePath> = entry.path.as_ref().and_then(|text| self.other(text));
        let methods = self.methods(&entry.methods);
        let auth = self.auth(entry.auth.as_deref());
        let scope = entry.scope.as_ref().and_then(|text| {
            let scope = self.grammar(text, Scope::parse_for_route(text.get_ref()))?;
            if let Some(path) = &path {
                self.parameters(&scope, path, text);
            }
            Some(scope)
        });
        if entry.scope.is_none() {
            let message = format!("route[{index}] has no scope, so it denies everyone");
            self.report.warning(&entry.place, message);
        }
        let upstream = entry.upstream.as_ref().and_then(|text| self.other(text));
        let (Some(host), Some(path), Some(methods), Some(upstream)) =
            (host, path, methods, upstream)
        else {
            return;
        };
        let route = Route {
            index,
            host,
            path,
            methods,
            auth,
            scope,
            upstream,
        };
        if let Err(other) = self.policy.routes.insert(route) {
            let message = format!(
                "route[{index}] is ambiguous: route[{}] ({}) could match the same request equally",
                other.index, other.path
            );
            let place = entry.path.as_ref().map_or(entry.place.clone(), Text::span);
            self.report.error(&place, message);
        }
    }

    /// Parses what has no offsets in its errors.
    fn other<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, text: &Text) -> Option<T> {
        text.get_ref()
            .parse()
            .map_err(|error| self.report.error(&text.span(), error))
            .ok()
    }

    /// Every parameter that the scope names must be one of the path's, and as wide.
    fn parameters(&mut self, scope: &Scope, path: &RoutePath, text: &Text) {
        for (name, wanted) in scope.captures() {
            let message = match (wanted, path.parameter(name)) {
                (wanted, Some(found)) if wanted == found => continue,
                (_, None) => format!("the path {path} has no parameter {{{name}}}"),
                (_, Some(ParameterWidth::One)) => {
                    format!(
                        "{{{name}}} is one segment in the path {path}: write {{{name}}} here too"
                    )
                }
                (_, Some(ParameterWidth::OneOrMore)) => {
                    format!(
                        "{{{name}...}} is one or more segments in the path {path}: write {{{name}...}} here too"
                    )
                }
            };
            self.report.error(&text.span(), message);
        }
    }

    fn methods(&mut self, texts: &[Text]) -> Option<Methods> {
        let mut named: Vec<Box<str>> = Vec::new();
        for text in texts {
            let method = text.get_ref().as_str();
            if method == "*" {
                if texts.len() == 1 {
                    return Some(Methods::Any);
                }
                self.report
                    .error(&text.span(), "\"*\" is every method: it stands alone");
            } else if method.is_empty()
                || !method.chars().all(|c| c.is_ascii_uppercase() || c == '-')
            {
                let upper = method.to_ascii_uppercase();
                let message = format!(
                    "{method:?} is no method; methods are case-sensitive, for example {:?}",
                    if upper == method {
                        "GET".to_owned()
                    } else {
                        upper
                    }
                );
                self.report.error(&text.span(), message);
            } else if named.iter().any(|other| **other == *method) {
                self.report
                    .error(&text.span(), format_args!("{method} stands here twice"));
            } else {
                named.push(method.into());
            }
        }
        (!named.is_empty()).then_some(Methods::Named(named))
    }

    fn auth(&mut self, texts: Option<&[Text]>) -> Vec<AuthMethod> {
        let Some(texts) = texts else {
            return vec![AuthMethod::Certificate];
        };
        let mut methods = Vec::new();
        for text in texts {
            let known = AuthMethod::ALL.map(AuthMethod::name);
            match AuthMethod::ALL
                .into_iter()
                .find(|m| m.name() == text.get_ref())
            {
                Some(method) => methods.push(method),
                None => {
                    let near = nearest(text.get_ref(), known.into_iter())
                        .map(|near| format!("; did you mean {near:?}?"))
                        .unwrap_or_default();
                    self.report.error(
                        &text.span(),
                        format_args!(
                            "{:?} is no way to authenticate{near} (one of {})",
                            text.get_ref(),
                            known.join(", ")
                        ),
                    );
                }
            }
        }
        methods
    }
}
