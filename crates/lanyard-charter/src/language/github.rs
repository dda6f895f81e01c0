//! The section `github` of a grant.

use std::collections::BTreeMap;

use lanyard_document::{Code, Diagnostic, Fields, Findings, Node, Value, suggest};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::escaped;

use super::names::target;
use super::words::texts;
use crate::github::{
    ACCESS, Access, GitHubGrant, MAX_REPOSITORIES_PER_TOKEN, PROPOSE, most, permissions,
};
use crate::rights::Rights;
use crate::world::{TargetKind, World};

pub(super) fn github(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::GitHub);
    let repositories = fields.required("repositories").map(|node| {
        let repositories = texts(f, node, repository);
        if repositories.len() > MAX_REPOSITORIES_PER_TOKEN {
            let message = format!(
                "a token is for {MAX_REPOSITORIES_PER_TOKEN} repositories at most, and these are {}",
                repositories.len()
            );
            f.add(Diagnostic::new(Code::Value, node.span, message));
        }
        repositories
    });
    let profile = fields.optional("profile");
    let permissions = fields.optional("permissions");
    let is_empty = |node: &Node| match &node.value {
        Value::Map(entries) => entries.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Scalar { .. } => false,
    };
    let nothing = fields.optional("repositories").is_some_and(is_empty)
        || (profile.is_none() && permissions.is_none_or(is_empty));
    if nothing {
        let message = "this grant allows nothing".to_owned();
        let finding = Diagnostic::new(Code::EmptyGrant, node.span, message);
        f.add(finding.help("name repositories, and permissions or the profile propose"));
    }
    let profile = profile.map(|node| f.one_of(node, &[("propose", PROPOSE)]));
    let named = permissions.map(|node| granted(f, node));
    fields.finish();
    let proposes = profile.is_some();
    let mut granted: BTreeMap<String, Access> = match profile {
        Some(profile) => profile?
            .iter()
            .map(|(name, access)| ((*name).to_owned(), *access))
            .collect(),
        None => BTreeMap::new(),
    };
    for (name, access) in named.unwrap_or_default() {
        let most = granted.get(&name).copied().unwrap_or(access).max(access);
        granted.insert(name, most);
    }
    let well = !nothing && !granted.is_empty();
    let repositories = repositories.filter(|repositories| well && !repositories.is_empty());
    Some((
        target?,
        Rights::GitHub(GitHubGrant {
            repositories: repositories?,
            permissions: granted,
            proposes,
        }),
    ))
}

fn repository(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.contains('/') {
        return Err("the owner is the target's: write the repository's name alone");
    }
    let well = (1..=100).contains(&text.len()) && text.bytes().all(plain);
    if well && text != "." && text != ".." {
        Ok(())
    } else {
        Err("this is no name of a repository")
    }
}

fn granted(f: &Findings, node: &Node) -> BTreeMap<String, Access> {
    f.map(node)
        .iter()
        .flat_map(Fields::open)
        .filter_map(|(name, key, value)| {
            let access = f.one_of(value, ACCESS)?;
            let Some(most) = most(name) else {
                let message = format!("`{}` is no permission of a repository", escaped(name));
                let finding = Diagnostic::new(Code::Value, key.span, message);
                f.add(suggest(finding, name, permissions()));
                return None;
            };
            if access > most {
                let message = format!("`{name}` goes no further than {most}");
                f.add(Diagnostic::new(Code::Value, value.span, message));
                return None;
            }
            Some((name.to_owned(), access))
        })
        .collect()
}
