//! The rights of an `aws` grant: statements, conditions and denials.

use std::collections::BTreeSet;

use lanyard_document::shape::{Empty, Form, List, Map, Open, Shape, optional, required};
use lanyard_document::{Code, Diagnostic, Item, Section};
use lanyard_vocabulary::text::{escaped, is_hidden};

use crate::aws::{
    ActionPattern, AwsGrant, AwsStatement, ConditionKey, Conditions, ResourcePattern, Test,
};
use crate::rights::Rights;
use crate::section::bounds::at_most;

const NOTHING: &str = "this grant allows nothing";

pub(super) fn shape() -> Map {
    let allow = List::of(statement_shape()).not_empty(Empty::new(Code::EmptyGrant, NOTHING));
    let approved = "With the plan role, reads that hand on secrets or act; a person approves each \
                    credential.";
    Map::new()
        .with(required("allow", "What the session may do.", allow))
        .with(
            optional(
                "destructive",
                "Actions that are denied unless the approved plan names them.",
                actions_shape(),
            )
            .absent("none"),
        )
        .with(
            optional(
                "except",
                "Actions that are denied whatever a pattern of `allow` holds.",
                actions_shape(),
            )
            .absent("none"),
        )
        .with(optional("approved", approved, full_names_shape()).absent("none"))
}

fn statement_shape() -> Map {
    let values = Empty::new(Code::Condition, "name at least one value").of("condition");
    let values = List::of(Shape::Text).not_empty(values);
    let when = Open::of(CONDITION_KEY, values).not_empty(Empty::new(
        Code::Condition,
        "`when` asks for nothing: name a condition key, or leave it out",
    ));
    let unnarrowed = "Why no plan narrows the statement. Every apply needs it, and no plan names \
                      it, as with the state and the lock of Terraform.";
    Map::new()
        .with(required("actions", "Actions: `service:Action`, with `*` and `?`.", actions_shape()))
        .with(required("resources", "Resources: an ARN, or `*`.", List::of(RESOURCE)))
        .with(
            optional(
                "when",
                "Condition keys of AWS, each with the values of which one has to be there; all of them hold.",
                when,
            )
            .absent("always"),
        )
        .with(
            optional(
                "unnarrowed",
                unnarrowed,
                Form::new("a line of 200 characters at most", "."),
            )
            .absent("a plan narrows it"),
        )
}

pub(super) fn aws(section: &Section<'_>) -> Option<Rights> {
    let allow = section.get("allow").map(|item| {
        let statements = item.items().into_iter().filter_map(statement);
        (item, statements.collect::<Vec<_>>())
    });
    let list = |name| section.get(name).map(actions).unwrap_or_default();
    let (destructive, except) = (list("destructive"), list("except"));
    let approved = section.get("approved").map(full_names).unwrap_or_default();
    let (item, allow) = allow?;
    let actions: usize = allow.iter().map(|statement| statement.actions.len()).sum();
    let resources: usize = allow
        .iter()
        .map(|statement| statement.resources.len())
        .sum();
    let denied = destructive.len() + except.len() + approved.len();
    if !at_most(section.item, "actions in a grant", actions + denied)
        || !at_most(section.item, "resources in a grant", resources)
    {
        return None;
    }
    if allow.is_empty() {
        item.report(Code::EmptyGrant, NOTHING);
        return None;
    }
    let rights = AwsGrant {
        allow,
        destructive,
        except,
        approved,
    };
    Some(rights.into())
}

fn statement(item: Item<'_>) -> Option<AwsStatement> {
    let section = item.section()?;
    let actions = section.get("actions").map(actions);
    let resources = section.get("resources").map(Item::texts);
    let when = section.get("when").map(conditions);
    let unnarrowed = section.get("unnarrowed").and_then(why_unnarrowed);
    let (actions, resources) = (actions?, resources?);
    let when = when.unwrap_or_default();
    (!actions.is_empty() && !resources.is_empty()).then_some(AwsStatement {
        actions,
        resources: resources.into_iter().map(ResourcePattern).collect(),
        when,
        unnarrowed,
    })
}

/// The longest reason for an unnarrowed statement, in characters. Approvers read it.
const UNNARROWED_CHARS: usize = 200;

fn why_unnarrowed(item: Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    let is_odd = |c: char| c.is_control() || is_hidden(c);
    if text.is_empty() || text.chars().any(is_odd) || text.chars().count() > UNNARROWED_CHARS {
        let message = format!(
            "`unnarrowed` says why no plan narrows the statement, in one line of {UNNARROWED_CHARS} characters at most"
        );
        item.report(Code::Unnarrowed, message);
        return None;
    }
    Some(text.to_owned())
}

/// An action, or a pattern of actions.
const ACTION: Form =
    Form::new("an action or a pattern", "^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$").checked(action);

/// An action in full.
const FULL_NAME: Form = Form::new("an action", "^[A-Za-z0-9-]+:[A-Za-z0-9]+$").checked(full_name);

/// A resource without policy variables, and with wildcards in an ARN's resource part only (T30).
const RESOURCE: Form = Form::new("a resource", r"^(\*|arn:.+)$").checked(resource);

/// A condition key, which its own reader checks.
const CONDITION_KEY: Form = Form::new("a condition key", ":");

/// Describes a list of actions and patterns.
pub(super) fn actions_shape() -> List {
    List::of(ACTION)
}

/// Reads a list of actions and patterns.
pub(super) fn actions(item: Item<'_>) -> BTreeSet<ActionPattern> {
    item.texts().into_iter().map(ActionPattern).collect()
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

fn full_name(text: &str) -> Result<(), &'static str> {
    action(text)?;
    if text.contains(['*', '?']) {
        return Err("write it out: wildcards are not used here");
    }
    Ok(())
}

/// Describes a list of actions without wildcards.
pub(crate) fn full_names_shape() -> List {
    List::of(FULL_NAME)
}

/// Reads a list of actions without wildcards.
pub(crate) fn full_names(item: Item<'_>) -> BTreeSet<ActionPattern> {
    actions(item)
}

/// Reads `when`: condition keys, each with its accepted values.
fn conditions(item: Item<'_>) -> Conditions {
    let mut when = Conditions::default();
    for entry in item.entries() {
        let wrong = |span, why: &str| {
            let message = format!("condition `{}`: {why}", escaped(entry.name));
            item.f.add(Diagnostic::new(Code::Condition, span, message));
        };
        let (key, kind) = match ConditionKey::parse(entry.name) {
            Ok(parsed) => parsed,
            Err(why) => {
                wrong(entry.key.span, &why);
                continue;
            }
        };
        let items = entry.value.items().into_iter();
        let values = items.filter_map(|item| {
            let value = item.text()?;
            kind.check(value)
                .map_err(|why| wrong(item.span(), &format!("`{}`: {why}", escaped(value))))
                .ok()?;
            Some(value.to_owned())
        });
        let values: BTreeSet<String> = values.collect();
        // Where there is no value, each item was found to be wrong, or the list to be none.
        if !values.is_empty() && !when.add(key, Test { kind, values }) {
            wrong(
                entry.key.span,
                "it stands twice: keys differ by more than their case",
            );
        }
    }
    when
}
