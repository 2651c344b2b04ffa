//! The policy document as it is read: TOML, every value with its place, nothing believed yet but its shape.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::Report;

/// A text with its place.
pub(super) type Text = Spanned<String>;

/// The sections of a document. What was required and missing has been reported and is `None`.
#[derive(Default)]
pub(super) struct Document {
    pub(super) roles: Vec<RoleEntry>,
    pub(super) bindings: Vec<BindEntry>,
    pub(super) denies: Vec<DenyEntry>,
    pub(super) routes: Vec<RouteEntry>,
}

pub(super) struct RoleEntry {
    pub(super) name: Option<Text>,
    pub(super) admin: bool,
    pub(super) allow: Vec<Text>,
}

pub(super) struct BindEntry {
    pub(super) role: Option<Text>,
    pub(super) to: Option<Text>,
    pub(super) when: Vec<(Text, Vec<Text>)>,
    pub(super) until: Option<Text>,
}

pub(super) struct DenyEntry {
    pub(super) to: Option<Text>,
    pub(super) scope: Option<Text>,
}

pub(super) struct RouteEntry {
    pub(super) place: Range<usize>,
    pub(super) host: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) methods: Vec<Text>,
    pub(super) auth: Option<Vec<Text>>,
    pub(super) scope: Option<Text>,
    pub(super) upstream: Option<Text>,
}

const SECTIONS: [&str; 6] = ["anchor", "map", "role", "bind", "deny", "route"];

/// Reads a document. Whatever is wrong with its shape goes to `report`.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Document {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.error(&error.span().unwrap_or_default(), error.message());
    }
    let mut document = Document::default();
    if !errors.is_empty() {
        return document; // what was recovered may be nonsense, and so would be complaints about it
    }
    for (key, value) in root.get_ref() {
        let section = key.get_ref().as_ref();
        match section {
            "role" => document.roles = entries(section, value, report, role),
            "bind" => document.bindings = entries(section, value, report, bind),
            "deny" => document.denies = entries(section, value, report, deny),
            "route" => document.routes = entries(section, value, report, route),
            "anchor" | "map" => report.error(
                &key.span(),
                format_args!(
                    "[[{section}]] is not supported yet: only the built-in authority is trusted, which is the anchor \
                     \"internal\" and needs neither [[anchor]] nor [[map]]"
                ),
            ),
            unknown => report.error(&key.span(), unknown_key("the policy", unknown, &SECTIONS)),
        }
    }
    document
}

fn role(table: &mut Table<'_, '_>) -> RoleEntry {
    RoleEntry {
        name: table.required("name"),
        admin: table.boolean("admin").unwrap_or(false),
        allow: table.required_list("allow"),
    }
}

fn bind(table: &mut Table<'_, '_>) -> BindEntry {
    BindEntry {
        role: table.required("role"),
        to: table.required("to"),
        when: table.lists("when"),
        until: table.moment("until"),
    }
}

fn deny(table: &mut Table<'_, '_>) -> DenyEntry {
    DenyEntry {
        to: table.required("to"),
        scope: table.required("scope"),
    }
}

fn route(table: &mut Table<'_, '_>) -> RouteEntry {
    RouteEntry {
        place: table.place.clone(),
        host: table.required("host"),
        path: table.required("path"),
        methods: table.required_list("methods"),
        auth: table.list("auth"),
        scope: table.text("scope"),
        upstream: table.required("upstream"),
    }
}

/// Reads every table of `[[section]]`, and reports the keys that `entry` did not ask for.
fn entries<T>(
    section: &str,
    value: &Spanned<DeValue<'_>>,
    report: &mut Report<'_>,
    entry: impl Fn(&mut Table<'_, '_>) -> T,
) -> Vec<T> {
    let Some(array) = value.get_ref().as_array() else {
        report.error(
            &value.span(),
            format_args!("{section} is a list of tables: write [[{section}]]"),
        );
        return Vec::new();
    };
    let mut entries = Vec::with_capacity(array.len());
    for (index, element) in array.iter().enumerate() {
        let Some(table) = element.get_ref().as_table() else {
            report.error(
                &element.span(),
                format_args!("{section} is a list of tables: write [[{section}]]"),
            );
            continue;
        };
        let mut reader = Table {
            name: format!("{section}[{index}]"),
            place: element.span(),
            table,
            asked: Vec::new(),
            report,
        };
        entries.push(entry(&mut reader));
        reader.finish();
    }
    entries
}

/// One table of a list, while it is read.
struct Table<'d, 't> {
    name: String,
    place: Range<usize>,
    table: &'d DeTable<'d>,
    asked: Vec<&'static str>,
    report: &'d mut Report<'t>,
}

impl<'d> Table<'d, '_> {
    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let found = value.get_ref().type_str();
        let message = format!("{key} of {} is {wanted}, not of type {found}", self.name);
        self.report.error(&value.span(), message);
    }

    fn text_of(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) -> Option<Text> {
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text.to_owned())),
            None => {
                self.wrong_type(value, key, wanted);
                None
            }
        }
    }

    fn list_of(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> Vec<Text> {
        let wanted = "a list of texts";
        match value.get_ref().as_array() {
            Some(array) => array
                .iter()
                .filter_map(|element| self.text_of(element, key, wanted))
                .collect(),
            None => {
                self.wrong_type(value, key, wanted);
                Vec::new()
            }
        }
    }

    fn missing(&mut self, key: &str) {
        let message = format!("{} lacks {key}", self.name);
        self.report.error(&self.place, message);
    }

    fn text(&mut self, key: &'static str) -> Option<Text> {
        let value = self.get(key)?;
        self.text_of(value, key, "a text")
    }

    fn required(&mut self, key: &'static str) -> Option<Text> {
        let Some(value) = self.get(key) else {
            self.missing(key);
            return None;
        };
        self.text_of(value, key, "a text")
    }

    fn list(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.get(key)?;
        let list = self.list_of(value, key);
        if value
            .get_ref()
            .as_array()
            .is_some_and(|array| array.is_empty())
        {
            let message = format!(
                "{key} of {} is empty, which means nothing at all",
                self.name
            );
            self.report.error(&value.span(), message);
        }
        Some(list)
    }

    fn required_list(&mut self, key: &'static str) -> Vec<Text> {
        match self.list(key) {
            Some(list) => list,
            None => {
                self.missing(key);
                Vec::new()
            }
        }
    }

    fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(value, key, "true or false");
        }
        boolean
    }

    /// A time as a text or as TOML's own.
    fn moment(&mut self, key: &'static str) -> Option<Text> {
        let value = self.get(key)?;
        match value.get_ref().as_datetime() {
            Some(moment) => Some(Spanned::new(value.span(), moment.to_string())),
            None => self.text_of(value, key, "a time, for example \"2027-01-01T00:00:00Z\""),
        }
    }

    /// A table of lists: `{ site = ["fra"] }`.
    fn lists(&mut self, key: &'static str) -> Vec<(Text, Vec<Text>)> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(
                value,
                key,
                "a table of lists, for example { site = [\"fra\"] }",
            );
            return Vec::new();
        };
        let mut lists = Vec::with_capacity(table.len());
        for (name, values) in table {
            let list = self.list_of(values, key);
            if values
                .get_ref()
                .as_array()
                .is_some_and(|array| array.is_empty())
            {
                let message = format!(
                    "no value of {name} is allowed here, so {} never holds",
                    self.name,
                    name = name.get_ref()
                );
                self.report.error(&values.span(), message);
            }
            lists.push((
                Spanned::new(name.span(), name.get_ref().clone().into_owned()),
                list,
            ));
        }
        lists
    }

    fn finish(self) {
        for (key, _) in self.table {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                let message = unknown_key(&self.name, key.get_ref(), &self.asked);
                self.report.error(&key.span(), message);
            }
        }
    }
}

/// The complaint about an unknown key, with the nearest known one.
fn unknown_key(owner: &str, key: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("{owner} has no key {key:?}; did you mean {near:?}? (it has {all})"),
        None => format!("{owner} has no key {key:?}; it has {all}"),
    }
}

/// The known word that is nearest to `word`, if one is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= (known.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, known)| known)
}
