//! The dependencies between modules that are neither parent nor child, and the circles in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::source::{Module, Sources};

/// Modules below one parent that depend on each other, each with all that is below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Circle {
    /// The modules by name.
    pub(super) modules: Vec<String>,
    parent: Module,
    /// One use for each dependency in the circle: the module that uses, and the path that it names.
    uses: Vec<(Module, Module)>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modules = self.modules.join(", ");
        write!(f, "the modules {modules} depend on each other in a circle")?;
        for (at, path) in &self.uses {
            write!(f, "\n    {} uses {}", shown(at), shown(path))?;
        }
        Ok(())
    }
}

fn shown(path: &Module) -> String {
    let names = std::iter::once("crate").chain(path.iter().map(String::as_str));
    names.collect::<Vec<_>>().join("::")
}

/// The dependencies of the modules below one parent: for each module those that it uses, with one
/// use of each.
type Uses = BTreeMap<String, BTreeMap<String, (Module, Module)>>;

/// How many re-exports of one name are followed. A name that is declared by a macro, or for another
/// system, may seem to come from itself.
const MOST_RE_EXPORTS: usize = 16;

/// Finds the circles of a crate.
pub(super) fn circles(sources: &Sources) -> Vec<Circle> {
    let mut of_parents: BTreeMap<Module, Uses> = BTreeMap::new();
    for (module, named) in &sources.modules {
        for path in &named.paths {
            let used = sources.defining(path);
            let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(common), used.get(common)) else {
                // One of the two is above the other.
                continue;
            };
            let parent = module.iter().take(common).cloned().collect();
            let uses: &mut Uses = of_parents.entry(parent).or_default();
            let of_module = uses.entry(from.clone()).or_default();
            of_module
                .entry(to.clone())
                .or_insert_with(|| (module.clone(), path.clone()));
        }
    }
    let each = of_parents.into_iter();
    each.flat_map(|(parent, uses)| of_parent(&parent, &uses))
        .collect()
}

fn of_parent(parent: &Module, uses: &Uses) -> Vec<Circle> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses
        .keys()
        .map(|from| (from.as_str(), reached(uses, from)))
        .collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let mut circles = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for from in reached.keys().copied() {
        if !reaches(from, from) || seen.contains(from) {
            continue;
        }
        let all = reached.keys().copied();
        let modules: Vec<&str> = all
            .filter(|to| reaches(from, to) && reaches(to, from))
            .collect();
        seen.extend(&modules);
        let within = uses
            .iter()
            .filter(|(from, _)| modules.contains(&from.as_str()));
        let within = within.flat_map(|(_, to)| to.iter());
        let within = within.filter(|(to, _)| modules.contains(&to.as_str()));
        circles.push(Circle {
            modules: modules.iter().map(|&name| name.to_owned()).collect(),
            parent: parent.clone(),
            uses: within.map(|(_, used)| used.clone()).collect(),
        });
    }
    circles
}

/// The modules that this one depends on, by way of others or not.
fn reached<'a>(uses: &'a Uses, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        for to in uses.get(next).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(to.as_str()) {
                open.push(to);
            }
        }
    }
    found
}

impl Sources {
    /// The module that defines what a path names: re-exports are followed.
    fn defining(&self, path: &Module) -> Module {
        let mut path = path.clone();
        for _ in 0..MOST_RE_EXPORTS {
            let module = self.module_of(&path);
            let rest = path.get(module.len()..).unwrap_or_default();
            let imported = self.modules.get(&module).map(|named| &named.imported);
            let from = rest.first().and_then(|name| imported?.get(name));
            let Some(from) = from else {
                return module;
            };
            let rest = rest.iter().skip(1);
            path = from.iter().chain(rest).cloned().collect();
        }
        self.module_of(&path)
    }

    /// The module in which a path ends, by its longest beginning that is a module.
    fn module_of(&self, path: &Module) -> Module {
        let lengths = (0..=path.len()).rev();
        let mut beginnings = lengths.filter_map(|length| path.get(..length));
        let known = beginnings.find(|start| self.modules.contains_key(*start));
        known.unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(modules: &[(&str, &str)]) -> Vec<String> {
        let mut sources = Sources::default();
        for (path, text) in modules {
            let path = path.split("::").filter(|name| !name.is_empty());
            let path = path.map(str::to_owned).collect();
            sources.parsed(path, &syn::parse_file(text).unwrap());
        }
        let found = circles(&sources);
        found
            .iter()
            .map(|circle| circle.modules.join(" "))
            .collect()
    }

    #[test]
    fn modules_that_depend_on_each_other_are_a_circle_and_parents_with_their_children_are_none() {
        let root = ("", "mod a; mod b; mod c;");
        assert_eq!(
            found(&[root, ("a", "use crate::b::B;"), ("b", "use crate::a::A;")]),
            ["a b"]
        );
        let three = [
            root,
            ("a", "fn f() { crate::b::g() }"),
            ("b", "struct B(super::c::C);"),
            ("c", "fn h() { print!(\"{}\", crate::a::f()) }"),
        ];
        assert_eq!(found(&three), ["a b c"]);
        let child = [
            root,
            ("a", "mod d; use d::D; pub struct A;"),
            ("a::d", "use super::A;"),
        ];
        assert_eq!(found(&child), Vec::<String>::new());
        // With all that is below them.
        let below = [
            root,
            ("a", "mod d;"),
            ("a::d", "use crate::b::B;"),
            ("b", "use crate::a::A;"),
        ];
        assert_eq!(found(&below), ["a b"]);
        // One below another parent than the root.
        let deep = [
            root,
            ("a", "mod d; mod e;"),
            ("a::d", "use super::e::E;"),
            ("a::e", "use crate::a::d::D;"),
        ];
        assert_eq!(found(&deep), ["d e"]);
    }

    #[test]
    fn a_re_export_counts_as_where_it_comes_from_and_tests_and_visibility_count_for_nothing() {
        let by_root = [
            (
                "",
                "mod a; mod b; pub use a::A; pub use b::{self as other, B};",
            ),
            ("a", "use crate::B;"),
            ("b", "use crate::A;"),
        ];
        assert_eq!(found(&by_root), ["a b"]);
        let one_way = [
            ("", "mod a; mod b; mod c;"),
            ("a", "pub use crate::c::C; use crate::b::B;"),
            ("b", "use crate::a::C;"),
            ("c", "pub struct C;"),
        ];
        assert_eq!(found(&one_way), Vec::<String>::new());
        // A module that is not read may have the name of what comes from it.
        let unread = [
            ("", "mod a; mod b; pub use missing::missing;"),
            ("a", "use crate::missing;"),
        ];
        assert_eq!(found(&unread), Vec::<String>::new());
        let of_itself = [
            ("", "mod a; pub use a::b::b;"),
            ("a", "pub use self::b::b;"),
        ];
        assert_eq!(found(&of_itself), Vec::<String>::new());
        let in_tests = [
            ("", "mod a; mod b;"),
            ("a", "use crate::b::B;"),
            (
                "b",
                "pub(in crate::a) struct B; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ];
        assert_eq!(found(&in_tests), Vec::<String>::new());
    }
}
