//! Reads a declaration: the constant, and what its doc comment says of it.

use std::collections::BTreeMap;

use anyhow::Result;
use syn::visit::{self, Visit};

use super::value::{Value, Values};

/// A limit as its source states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// The crate that declares the limit.
    pub(super) within: String,
    /// The name of the constant.
    pub(super) name: String,
    /// A sentence on what is counted.
    counts: String,
    value: Value,
    unit: String,
    whom: String,
    beyond: String,
    /// The tests that go to the bound and one past it.
    pub(super) tests: Vec<String>,
}

/// A constant of the source, with its doc comment.
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) value: syn::Expr,
    /// The type is a number or a span of time.
    measures: bool,
    docs: Vec<String>,
}

/// The beginnings of the names of bounds, as whole words.
const BEGINNINGS: [&str; 7] = [
    "MAX", "MOST", "LONGEST", "LARGEST", "OLDEST", "FURTHEST", "STALEST",
];
/// The endings of the names of bounds, as whole words.
const ENDINGS: [&str; 4] = ["LIMIT", "DEADLINE", "TIMEOUT", "AT_MOST"];

/// Tells whether a constant has the name of a bound, which makes it one.
fn is_named_as_a_bound(name: &str) -> bool {
    let begins = |with: &&str| {
        let rest = name.strip_prefix(*with);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let ends = |with: &&str| {
        let rest = name.strip_suffix(*with);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    };
    BEGINNINGS.iter().any(begins) || ENDINGS.iter().any(ends)
}

/// Tells whether a type is a number or a span of time, which a bound can have.
fn measures(of: &syn::Type) -> bool {
    let syn::Type::Path(path) = of else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| {
        let name = last.ident.to_string();
        let numbers = [
            "usize", "u8", "u16", "u32", "u64", "u128", "i32", "i64", "f64",
        ];
        numbers.contains(&name.as_str())
            || ["Duration", "Ttl"].contains(&name.as_str())
            || name.starts_with("NonZero")
    })
}

/// Lists the constants of a file, except those of its tests.
///
/// # Errors
/// The file is not Rust.
pub(super) fn constants(text: &str) -> Result<Vec<Constant>> {
    let file = syn::parse_file(text)?;
    let mut all = All::default();
    all.visit_file(&file);
    Ok(all.0)
}

#[derive(Default)]
struct All(Vec<Constant>);

impl All {
    fn take(
        &mut self,
        name: &syn::Ident,
        (of, value): (&syn::Type, &syn::Expr),
        attributes: &[syn::Attribute],
    ) {
        self.0.push(Constant {
            name: name.to_string(),
            value: value.clone(),
            measures: measures(of),
            docs: attributes.iter().filter_map(doc).collect(),
        });
    }
}

impl<'ast> Visit<'ast> for All {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.take(&item.ident, (&item.ty, &item.expr), &item.attrs);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.take(&item.ident, (&item.ty, &item.expr), &item.attrs);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.attrs.iter().any(is_cfg) {
            visit::visit_item_mod(self, item);
        }
    }
}

/// Recognizes `#[cfg(test)]` and other conditions, under which an item may be absent.
fn is_cfg(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

fn doc(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let syn::Expr::Lit(syn::ExprLit {
        lit: syn::Lit::Str(text),
        ..
    }) = &pair.value
    else {
        return None;
    };
    pair.path
        .is_ident("doc")
        .then(|| text.value().trim().to_owned())
}

impl Constant {
    /// Reads the limit that the constant declares, if it does.
    ///
    /// # Errors
    /// What the declaration lacks.
    pub(super) fn limit(
        &self,
        within: &str,
        known: &Values<'_>,
    ) -> Result<Option<Declared>, String> {
        let section = |heading: &str| self.docs.iter().position(|line| line == heading);
        let Some(section) = section("# Limit") else {
            if !self.measures || !is_named_as_a_bound(&self.name) {
                return Ok(None);
            }
            let excused = section("# No limit").and_then(|place| self.docs.get(place + 1));
            return if excused.is_some_and(|why| !why.is_empty()) {
                Ok(None)
            } else {
                Err(
                    "is named as a limit and has neither a section `# Limit` nor a section `# No limit` that says why"
                        .to_owned(),
                )
            };
        };
        let (counts, parts) = self.docs.split_at(section);
        let parts = parts_of(parts);
        let part = |key: &str| {
            let part = parts.get(key).filter(|text| !text.is_empty());
            part.cloned()
                .ok_or_else(|| format!("does not say `- {key}:`"))
        };
        let first = counts.iter().take_while(|line| !line.is_empty());
        let counts = first.map(String::as_str).collect::<Vec<_>>().join(" ");
        if counts.is_empty() {
            return Err("does not say what it counts".to_owned());
        }
        let tests = part("test")?;
        let tests = tests
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned());
        Ok(Some(Declared {
            within: within.to_owned(),
            name: self.name.clone(),
            counts,
            value: Value::of(&self.value, known)?,
            unit: part("unit")?,
            whom: part("for")?,
            beyond: part("beyond")?,
            tests: tests.collect(),
        }))
    }
}

/// Reads the list below the heading; a line that is no entry continues the one before it.
fn parts_of(lines: &[String]) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in lines.iter().skip(1) {
        if let Some((key, text)) = line
            .strip_prefix("- ")
            .and_then(|line| line.split_once(':'))
        {
            parts.insert(key.to_owned(), text.trim().to_owned());
            last = Some(key.to_owned());
        } else if let Some(part) = last.as_ref().and_then(|key| parts.get_mut(key)) {
            part.push(' ');
            part.push_str(line);
        }
    }
    parts
        .values_mut()
        .for_each(|part| *part = part.trim().to_owned());
    parts
}

impl Declared {
    /// Writes the limit's line of the page.
    pub(super) fn row(&self) -> String {
        let tests: Vec<_> = self.tests.iter().map(|test| format!("`{test}`")).collect();
        let cells = [
            format!("{} (`{}`)", self.counts.trim_end_matches('.'), self.name),
            self.value.shown(&self.unit),
            self.whom.clone(),
            self.beyond.clone(),
            tests.join(", "),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = concat!(
        "/// Commands that wait.\n///\n/// # Limit\n/// - for: all callers\n",
        "/// - unit: commands\n/// - beyond: the caller is told to\n///   come again\n",
        "/// - test: `one`, `two`\nconst MAX_QUEUED: usize = 64 * 1024;\n",
    );

    fn limits(text: &str) -> Vec<Result<Option<Declared>, String>> {
        let constants = constants(text).unwrap();
        constants.iter().map(|it| it.limit("a", &[])).collect()
    }

    #[test]
    fn a_declaration_is_read_with_all_its_parts() {
        let limits = limits(WHOLE);
        let limit = limits[0].clone().unwrap().unwrap();
        assert_eq!(limit.tests, ["one", "two"]);
        assert_eq!(
            limit.row(),
            "| Commands that wait (`MAX_QUEUED`) | 65,536 commands | all callers | the caller is told to come again | `one`, `two` |\n"
        );
    }

    #[test]
    fn a_declaration_that_lacks_a_part_is_a_fault_whichever_it_is() {
        for part in ["for", "unit", "beyond", "test"] {
            let without: String = WHOLE
                .lines()
                .filter(|line| {
                    !line.contains(&format!("- {part}:")) && !line.contains("come again")
                })
                .fold(String::new(), |text, line| text + line + "\n");
            let limit = limits(&without).remove(0);
            assert_eq!(limit, Err(format!("does not say `- {part}:`")));
        }
    }

    #[test]
    fn a_constant_that_is_named_as_a_limit_has_to_be_declared_as_one() {
        let undeclared = limits("const MAX_QUEUED: usize = 1;\nconst OTHER: usize = 1;\n");
        assert!(undeclared[0].is_err());
        assert_eq!(undeclared[1], Ok(None));
        let of_tests = limits("#[cfg(test)]\nmod tests { const MAX_QUEUED: usize = 1; }\n");
        assert!(of_tests.is_empty());
        let within = limits("fn f() { const MAX_QUEUED: usize = 1; }\n");
        assert!(within[0].is_err());
    }

    #[test]
    fn whatever_is_called_what_bounds_are_called_is_declared_or_excused() {
        for name in [
            "SIZE_LIMIT",
            "DEADLINE",
            "MINT_TIMEOUT",
            "ASKED_AT_MOST",
            "MOST",
            "LONGEST_WAIT",
            "LARGEST",
        ] {
            for of in [
                "usize",
                "u64",
                "Duration",
                "std::time::Duration",
                "Ttl",
                "NonZeroU32",
            ] {
                let found = limits(&format!("const {name}: {of} = 1;\n")).remove(0);
                assert!(found.is_err(), "{name}: {of}");
            }
            let excused = format!(
                "/// A wait.\n///\n/// # No limit\n/// Tries never end.\nconst {name}: usize = 1;\n"
            );
            assert_eq!(limits(&excused), [Ok(None)]);
            let without_a_reason = format!("/// # No limit\nconst {name}: usize = 1;\n");
            assert!(limits(&without_a_reason)[0].is_err());
        }
        let others = "const MOST: &str = \"\";\nconst ALMOST: usize = 1;\nconst UNLIMITED: usize = 1;\nconst INTERVAL: Duration = 1;\n";
        assert!(limits(others).iter().all(|it| *it == Ok(None)));
    }
}
