//! The rights of an `aws` grant: statements, conditions and denials.

use std::collections::BTreeSet;

use lanyard_document::{Code, Diagnostic, Fields, Findings, Node, Value};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::{escaped, is_hidden};

use crate::aws::{
    ActionPattern, AwsGrant, AwsStatement, ConditionKey, Conditions, ResourcePattern, Test,
};
use crate::rights::Rights;
use crate::section::bounds::at_most;
use crate::section::names::target;
use crate::section::words::texts;
use crate::target_kind::TargetKind;
use crate::world::World;

pub(super) fn aws(f: &Findings, node: &Node, world: &World) -> Option<(Name, Rights)> {
    let fields = f.map(node)?;
    let target = target(f, &fields, world, TargetKind::AWS);
    let allow: Vec<AwsStatement> = fields
        .required("allow")
        .map(|node| {
            f.list(node)
                .iter()
                .filter_map(|item| statement(f, item))
                .collect()
        })
        .unwrap_or_default();
    let list = |name| {
        let node = fields.optional(name);
        node.map(|node| actions(f, node)).unwrap_or_default()
    };
    let (destructive, except) = (list("destructive"), list("except"));
    let approved = fields.optional("approved");
    let approved = approved.map(|node| full_names(f, node)).unwrap_or_default();
    fields.finish();
    let actions: usize = allow.iter().map(|statement| statement.actions.len()).sum();
    let resources: usize = allow
        .iter()
        .map(|statement| statement.resources.len())
        .sum();
    let denied = destructive.len() + except.len() + approved.len();
    if !at_most(f, node, "actions in a grant", actions + denied)
        || !at_most(f, node, "resources in a grant", resources)
    {
        return None;
    }
    if allow.is_empty() {
        f.add(Diagnostic::new(
            Code::EmptyGrant,
            node.span,
            "this grant allows nothing".to_owned(),
        ));
        return None;
    }
    let rights = AwsGrant {
        allow,
        destructive,
        except,
        approved,
    };
    Some((target?, rights.into()))
}

fn statement(f: &Findings, node: &Node) -> Option<AwsStatement> {
    let fields = f.map(node)?;
    let actions = fields.required("actions").map(|node| actions(f, node));
    let resources: Option<BTreeSet<_>> = fields.required("resources").map(|node| {
        texts(f, node, resource)
            .into_iter()
            .map(ResourcePattern)
            .collect()
    });
    let when = fields.optional("when").map(|node| conditions(f, node));
    let unnarrowed = fields.optional("unnarrowed");
    let unnarrowed = unnarrowed.and_then(|node| why_unnarrowed(f, node));
    fields.finish();
    let (actions, resources) = (actions?, resources?);
    let when = when.unwrap_or_default();
    (!actions.is_empty() && !resources.is_empty()).then_some(AwsStatement {
        actions,
        resources,
        when,
        unnarrowed,
    })
}

/// The longest reason for an unnarrowed statement, in characters. Approvers read it.
const UNNARROWED_CHARS: usize = 200;

fn why_unnarrowed(f: &Findings, node: &Node) -> Option<String> {
    let text = f.text(node)?.trim();
    let is_odd = |c: char| c.is_control() || is_hidden(c);
    if text.is_empty() || text.chars().any(is_odd) || text.chars().count() > UNNARROWED_CHARS {
        let message = format!(
            "`unnarrowed` says why no plan narrows the statement, in one line of {UNNARROWED_CHARS} characters at most"
        );
        f.add(Diagnostic::new(Code::Unnarrowed, node.span, message));
        return None;
    }
    Some(text.to_owned())
}

pub(crate) fn actions(f: &Findings, node: &Node) -> BTreeSet<ActionPattern> {
    texts(f, node, action)
        .into_iter()
        .map(ActionPattern)
        .collect()
}

fn action(text: &str) -> Result<(), &'static str> {
    let Some((service, name)) = text.split_once(':') else {
        return Err("write service:Action");
    };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let pattern = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'*' || b == b'?')
    };
    if service.is_empty() || !plain(service) || name.is_empty() || !pattern(name) {
        return Err("write service:Action, with a service that is spelled out");
    }
    Ok(())
}

/// Checks a resource: no policy variables, and wildcards in an ARN's resource part only (T30).
fn resource(text: &str) -> Result<(), &'static str> {
    if text == "*" {
        return Ok(());
    }
    if text.contains("${") {
        return Err("policy variables are not used here");
    }
    if text
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b'"' || byte == b'\\')
    {
        return Err("this is not an ARN");
    }
    // What AssumeRole takes in a policy.
    if text.chars().any(|c| c > '\u{ff}') {
        return Err("it holds a character that STS does not take: write `?` or `*` for it");
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, _region, _account, name] = parts.as_slice() else {
        return Err("write arn:partition:service:region:account:resource");
    };
    if *arn != "arn" || partition.is_empty() || service.is_empty() || name.is_empty() {
        return Err("write arn:partition:service:region:account:resource");
    }
    if parts.iter().take(5).any(|part| part.contains(['*', '?'])) {
        return Err("wildcards may stand in the resource part only");
    }
    Ok(())
}

/// Reads actions without wildcards.
pub(crate) fn full_names(f: &Findings, node: &Node) -> BTreeSet<ActionPattern> {
    let plain = |text: &str| {
        action(text)?;
        if text.contains(['*', '?']) {
            return Err("write it out: wildcards are not used here");
        }
        Ok(())
    };
    texts(f, node, plain)
        .into_iter()
        .map(ActionPattern)
        .collect()
}

/// Reads `when`: condition keys, each with its accepted values.
fn conditions(f: &Findings, node: &Node) -> Conditions {
    let mut when = Conditions::default();
    let fields = f.map(node);
    for (name, at, node) in fields.iter().flat_map(Fields::open) {
        let wrong = |span, why: &str| {
            let message = format!("condition `{}`: {why}", escaped(name));
            f.add(Diagnostic::new(Code::Condition, span, message));
        };
        let (key, kind) = match ConditionKey::parse(name) {
            Ok(parsed) => parsed,
            Err(why) => {
                wrong(at.span, &why);
                continue;
            }
        };
        let items = f.list(node);
        let values = items.iter().filter_map(|item| {
            let value = f.text(item)?;
            kind.check(value)
                .map_err(|why| wrong(item.span, &format!("`{}`: {why}", escaped(value))))
                .ok()?;
            Some(value.to_owned())
        });
        let values: BTreeSet<String> = values.collect();
        if values.is_empty() {
            // Otherwise each item was found to be wrong, or the list to be none.
            if matches!(&node.value, Value::List(items) if items.is_empty()) {
                wrong(node.span, "name at least one value");
            }
        } else if !when.add(key, Test { kind, values }) {
            wrong(
                at.span,
                "it stands twice: keys differ by more than their case",
            );
        }
    }
    let none = |fields: &Fields<'_>| fields.open().next().is_none();
    if fields.as_ref().is_some_and(none) {
        let message = "`when` asks for nothing: name a condition key, or leave it out".to_owned();
        f.add(Diagnostic::new(Code::Condition, node.span, message));
    }
    when
}
