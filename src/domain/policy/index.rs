//! Which entries of the policy may concern a principal: a trie of the segments of their patterns.
//!
//! Ten thousand bindings to single devices cost a look-up as many steps as the device's path has segments. Entries with
//! the same pattern that ask for labels are told apart by the value of one label.

use std::collections::HashMap;

use crate::domain::{
    labels::{LabelName, LabelValue, Labels},
    pattern::Segment,
    principal::{Principal, PrincipalKind, PrincipalPattern},
};

/// Entries by the principals that they are for. It gives every entry that concerns a principal, and perhaps more: each
/// entry is still asked itself.
#[derive(Debug, Default)]
pub(super) struct PrincipalIndex {
    devices: Node,
    services: Node,
    users: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    here: Entries,
    here_and_below: Entries,
}

/// Places in the policy's list.
#[derive(Debug, Default)]
struct Entries {
    always: Vec<usize>,
    when: HashMap<LabelName, HashMap<LabelValue, Vec<usize>>>,
}

impl PrincipalIndex {
    /// Adds the entry at `index`. If `when` is given, it concerns only principals with one of these values.
    pub(super) fn insert(
        &mut self,
        to: &PrincipalPattern,
        when: Option<&(LabelName, Vec<LabelValue>)>,
        index: usize,
    ) {
        let mut node = match to.kind() {
            PrincipalKind::Device => &mut self.devices,
            PrincipalKind::Service => &mut self.services,
            PrincipalKind::User => &mut self.users,
        };
        for segment in to.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                // Patterns of principals have no templates; one that had would be found for every segment.
                Segment::Any
                | Segment::SelfPath
                | Segment::Label(_)
                | Segment::Capture(_)
                | Segment::CaptureRest(_) => node.any.get_or_insert_default(),
            };
        }
        let entries = if to.includes_below() {
            &mut node.here_and_below
        } else {
            &mut node.here
        };
        match when {
            None => entries.always.push(index),
            Some((name, values)) => {
                let by_value = entries.when.entry(name.clone()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(index);
                }
            }
        }
    }

    /// Calls `found` with every entry that may concern the principal, in no particular order.
    pub(super) fn for_each(
        &self,
        principal: &Principal,
        labels: &Labels,
        mut found: impl FnMut(usize),
    ) {
        let root = match principal.kind() {
            PrincipalKind::Device => &self.devices,
            PrincipalKind::Service => &self.services,
            PrincipalKind::User => &self.users,
        };
        root.walk(Some(principal.path()), labels, &mut found);
    }
}

impl Node {
    /// `path` is what follows of the principal's path, `None` behind its last segment.
    fn walk(&self, path: Option<&str>, labels: &Labels, found: &mut impl FnMut(usize)) {
        self.here_and_below.give(labels, found);
        let Some(path) = path else {
            return self.here.give(labels, found);
        };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        if let Some(node) = self.literals.get(segment) {
            node.walk(rest, labels, found);
        }
        if let Some(node) = &self.any {
            node.walk(rest, labels, found);
        }
    }
}

impl Entries {
    fn give(&self, labels: &Labels, found: &mut impl FnMut(usize)) {
        self.always.iter().copied().for_each(&mut *found);
        for (name, by_value) in &self.when {
            let entries = labels
                .get(name.as_str())
                .and_then(|value| by_value.get(value));
            entries.into_iter().flatten().copied().for_each(&mut *found);
        }
    }
}
