//! Every path that a Rust file names, wherever it stands: in a `use`, a type, an expression, or a macro's tokens.
//!
//! It follows `crate`, `self`, `super`, the names that a `use` brings in, and the modules inside a file. It doesn't
//! follow re-exports: where a name was declared is not known here, only by which path it was reached.

use std::collections::HashMap;

use syn::{
    Attribute, ExprMethodCall, File, ItemMod, ItemUse, Macro, MetaList, Path, UseTree,
    visit::{self, Visit},
};

/// A path as reached from the crate's root (`crate` first) or from another crate (that crate's name first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub segments: Vec<String>,
    /// It stands below `#[cfg(test)]`.
    pub in_test: bool,
}

/// What a file names.
#[derive(Debug, Default)]
pub struct References {
    pub paths: Vec<Reference>,
    pub methods: Vec<String>,
}

/// Reads the references of `text`, a file that stands for the module `module` of its crate.
pub fn references(text: &str, module: &[String]) -> References {
    let file: File = syn::parse_file(text).expect("Rust that parses");
    let mut aliases = Aliases::default();
    aliases.visit_file(&file);
    let mut reader = Reader {
        module: module.to_vec(),
        aliases: aliases.names,
        test_depth: 0,
        found: References::default(),
    };
    reader.visit_file(&file);
    reader.found
}

struct Reader {
    module: Vec<String>,
    aliases: HashMap<String, Vec<String>>,
    test_depth: usize,
    found: References,
}

impl Reader {
    fn record(&mut self, segments: &[String]) {
        let segments = self.resolve(segments);
        self.found.paths.push(Reference {
            segments,
            in_test: self.test_depth > 0,
        });
    }

    fn resolve(&self, segments: &[String]) -> Vec<String> {
        let mut segments = segments.to_vec();
        // A name that a `use` brought in stands for the path of that `use`. Bounded, for a `use` may name itself.
        for _ in 0..4 {
            match segments.first().and_then(|first| self.aliases.get(first)) {
                Some(full) if full[..] != segments[..full.len().min(segments.len())] => {
                    segments = [&full[..], &segments[1..]].concat();
                }
                Some(_) | None => break,
            }
        }
        let mut base = self.module.clone();
        let mut rest = &segments[..];
        match rest.first().map(String::as_str) {
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            Some(_) | None => return segments,
        }
        [&["crate".to_owned()][..], &base, rest].concat()
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let test = usize::from(item.attrs.iter().any(is_cfg_test));
        self.test_depth += test;
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.test_depth -= test;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut leaves = Vec::new();
        spread(&item.tree, &mut Vec::new(), &mut leaves);
        for leaf in leaves {
            self.record(&leaf.path);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.record(&segments);
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.found.methods.push(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        for segments in paths_in_tokens(&list.tokens.to_string()) {
            self.record(&segments);
        }
        visit::visit_meta_list(self, list);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        for segments in paths_in_tokens(&call.tokens.to_string()) {
            self.record(&segments);
        }
        visit::visit_macro(self, call);
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<Path>()
            .is_ok_and(|path| path.is_ident("test"))
}

#[derive(Default)]
struct Aliases {
    names: HashMap<String, Vec<String>>,
}

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut leaves = Vec::new();
        spread(&item.tree, &mut Vec::new(), &mut leaves);
        for leaf in leaves {
            if let Some(name) = leaf.name {
                self.names.insert(name, leaf.path);
            }
        }
    }
}

struct Leaf {
    path: Vec<String>,
    /// The name that it has in the file; none for `*`.
    name: Option<String>,
}

fn spread(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            spread(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                spread(tree, prefix, leaves);
            }
        }
        UseTree::Glob(_) => leaves.push(Leaf {
            path: [&prefix[..], &["*".to_owned()]].concat(),
            name: None,
        }),
        UseTree::Name(name) => leaves.push(leaf(prefix, &name.ident.to_string(), None)),
        UseTree::Rename(name) => leaves.push(leaf(
            prefix,
            &name.ident.to_string(),
            Some(name.rename.to_string()),
        )),
    }
}

fn leaf(prefix: &[String], ident: &str, rename: Option<String>) -> Leaf {
    let path = if ident == "self" {
        prefix.to_vec()
    } else {
        [prefix, &[ident.to_owned()]].concat()
    };
    Leaf {
        name: rename.or_else(|| path.last().cloned()),
        path,
    }
}

/// The paths with at least one `::` in a macro's tokens, string literals left out.
fn paths_in_tokens(tokens: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut joined = false;
    let mut rest = tokens.trim_start();
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |end| &rest[end + 2..]);
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            if !joined {
                finish(&mut path, &mut found);
            }
            path.push(word.to_owned());
            rest = after;
        } else if let Some(after) = rest.strip_prefix("::") {
            joined = true;
            rest = after.trim_start();
            continue;
        } else {
            finish(&mut path, &mut found);
            rest = &rest[c.len_utf8()..];
        }
        joined = false;
        rest = rest.trim_start();
    }
    finish(&mut path, &mut found);
    found
}

fn finish(path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if path.len() > 1 {
        found.push(std::mem::take(path));
    }
    path.clear();
}

#[test]
fn a_path_is_seen_wherever_it_stands() {
    let cases = [
        ("use crate::gate::Admit;", "crate::gate::Admit"),
        ("use crate::{api, gate::*};", "crate::gate::*"),
        ("use super::super::gate;", "crate::gate"),
        (
            "mod inner { use super::super::super::gate; }",
            "crate::gate",
        ),
        (
            "use crate::store; type S = store::sqlite::Store;",
            "crate::store::sqlite::Store",
        ),
        (
            "use crate::store as s; fn f() { s::sqlite::open(); }",
            "crate::store::sqlite::open",
        ),
        (
            "fn f() -> crate::gate::Admit { todo() }",
            "crate::gate::Admit",
        ),
        (
            "fn f() { println!(\"{}\", crate::gate::NAME); }",
            "crate::gate::NAME",
        ),
        (
            "fn f() { let t = std::time::SystemTime::now(); }",
            "std::time::SystemTime::now",
        ),
        ("impl From<crate::gate::E> for E {}", "crate::gate::E"),
        (
            "#[derive(crate::gate::Macro)] struct S;",
            "crate::gate::Macro",
        ),
    ];
    for (text, wanted) in cases {
        let found = references(text, &["acme".to_owned(), "order".to_owned()]);
        let paths: Vec<String> = found.paths.iter().map(|r| r.segments.join("::")).collect();
        assert!(paths.iter().any(|path| path == wanted), "{text}: {paths:?}");
    }
}

#[test]
fn a_path_in_a_string_is_no_reference() {
    let found = references(
        "fn f() { println!(\"crate::gate::X \\\" crate::gate::Y\"); }",
        &[],
    );
    let gate: Vec<_> = found
        .paths
        .iter()
        .filter(|r| r.segments.contains(&"gate".to_owned()))
        .collect();
    assert!(gate.is_empty(), "{gate:?}");
}
