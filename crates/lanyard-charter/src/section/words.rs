//! Words that several sections of a charter share.

use std::collections::BTreeSet;

use lanyard_document::{Code, Diagnostic, Findings, Node};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::text::escaped;

pub(crate) const ROLES: &[(&str, Role)] = &[("plan", Role::Plan), ("apply", Role::Apply)];

/// A list of texts, each of which passes a test.
pub fn texts(
    f: &Findings,
    node: &Node,
    test: fn(&str) -> Result<(), &'static str>,
) -> BTreeSet<String> {
    f.list(node)
        .iter()
        .filter_map(|item| {
            let text = f.text(item)?;
            test(text)
                .map_err(|why| {
                    f.add(Diagnostic::new(
                        Code::Value,
                        item.span,
                        format!("`{}`: {why}", escaped(text)),
                    ));
                })
                .ok()?;
            Some(text.to_owned())
        })
        .collect()
}
