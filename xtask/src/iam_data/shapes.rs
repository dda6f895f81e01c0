//! Reads from the shapes of requests and answers what an operation handles: by the names of their
//! fields, by what AWS marks as sensitive, and by what the documentation of a field says of a link.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::fields::{Field, Holds};

/// Models whose operations are actions of a service with another name.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("cloudcontrol", "cloudformation"),
    ("iot-data", "iot"),
    ("iot-jobs-data", "iotjobsdata"),
    ("iotsecuretunneling", "iot"),
    ("mturk", "mechanicalturk"),
    ("partnercentral-account", "partnercentral"),
    ("partnercentral-benefits", "partnercentral"),
    ("partnercentral-channel", "partnercentral"),
    ("partnercentral-marketing", "partnercentral"),
    ("partnercentral-selling", "partnercentral"),
    ("resourcegroupstaggingapi", "tag"),
];
/// The depth at which a walk stops. Structures nest, and some hold themselves by way of others, so
/// whatever is deeper was seen before.
const MAX_DEPTH: usize = 10;
/// The number of times that one structure is walked on one side of an operation. It is more than
/// one because the names around a field count as well.
const MAX_WALKS: usize = 8;
/// The facts that the shapes show of an operation, each with the field that shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The field of the answer that gives access: a key, a token, a password, a login.
    pub(super) credential: Option<String>,
    /// The field of the answer that gives access and that the request does not already hold.
    pub(super) issued: Option<String>,
    /// The field of the answer that mostly has secrets in it: an environment, user data, a signed
    /// link.
    pub(super) secret: Option<String>,
    /// The field of the request that holds a policy about who may do what.
    pub(super) policy: Option<String>,
    /// The field of the request that names a role for something to run with.
    pub(super) role: Option<String>,
}

/// The facts by service and operation, in lower case.
pub(super) struct Models(BTreeMap<(String, String), Facts>);

impl Models {
    /// Reads every service model in its newest version, and the older ones for what only they have.
    pub(super) fn read(folder: &Path, cleared: &BTreeSet<String>) -> Result<Self> {
        let mut models = Self(BTreeMap::new());
        for service in sorted(folder)? {
            for version in sorted(&folder.join(&service)).unwrap_or_default() {
                let path = folder
                    .join(&service)
                    .join(&version)
                    .join("service-2.json.gz");
                if path.exists() {
                    let text = gunzip(&std::fs::read(&path)?)
                        .with_context(|| path.display().to_string())?;
                    models.take(&service, &serde_json::from_slice(&text)?, cleared);
                }
            }
        }
        ensure!(
            !models.0.is_empty(),
            "no service model in {}",
            folder.display()
        );
        Ok(models)
    }

    pub(super) fn of(&self, service: &str, action: &str) -> Option<&Facts> {
        let key = (service.to_owned(), action.to_ascii_lowercase());
        self.0.get(&key)
    }

    fn take(&mut self, folder: &str, model: &Value, cleared: &BTreeSet<String>) {
        let about = |name: &str| model.get("metadata")?.get(name)?.as_str();
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == folder);
        let names = [
            about("signingName"),
            about("endpointPrefix"),
            other.map(|(_, name)| *name),
            Some(folder),
        ];
        let names: BTreeSet<String> = names
            .into_iter()
            .flatten()
            .map(str::to_ascii_lowercase)
            .collect();
        let operations = model.get("operations").and_then(Value::as_object);
        for (operation, described) in operations.into_iter().flatten() {
            let mut walk = Walk {
                operation,
                model,
                cleared,
                fields: Vec::new(),
                walked: BTreeMap::new(),
            };
            let facts = walk.facts(described);
            // API Gateway names its actions after the methods of HTTP.
            let method = described
                .get("http")
                .and_then(|it| it.get("method")?.as_str());
            let method = method.filter(|_| folder.starts_with("apigateway"));
            for service in &names {
                for action in [Some(operation.as_str()), method].into_iter().flatten() {
                    let key = (service.clone(), action.to_ascii_lowercase());
                    self.0.entry(key).or_default().with(&facts);
                }
            }
        }
    }
}

impl Facts {
    /// Takes over each fact of `other` that is not known yet.
    fn with(&mut self, other: &Self) {
        let first = |one: &mut Option<String>, two: &Option<String>| {
            if one.is_none() {
                one.clone_from(two);
            }
        };
        first(&mut self.credential, &other.credential);
        first(&mut self.issued, &other.issued);
        first(&mut self.secret, &other.secret);
        first(&mut self.policy, &other.policy);
        first(&mut self.role, &other.role);
    }
}

struct Walk<'a> {
    operation: &'a str,
    model: &'a Value,
    cleared: &'a BTreeSet<String>,
    fields: Vec<Field>,
    /// The number of walks of each structure on one side of an operation.
    walked: BTreeMap<String, usize>,
}

impl Walk<'_> {
    fn facts(&mut self, operation: &Value) -> Facts {
        let (input, output) = (self.of(operation, "input"), self.of(operation, "output"));
        let sent: BTreeSet<String> = input
            .iter()
            .map(|field| field.leaf().to_ascii_lowercase())
            .collect();
        let holds = |wanted: Holds, sent: &BTreeSet<String>| {
            let found = output.iter().find(|field| {
                field.holds() == Some(wanted)
                    && !sent.contains(&field.leaf().to_ascii_lowercase())
                    && !self.cleared.contains(field.leaf())
            });
            found.map(Field::shown)
        };
        let none = BTreeSet::new();
        let asks = |of: fn(&Field) -> bool| {
            let found = input
                .iter()
                .find(|field| of(field) && !self.cleared.contains(field.leaf()));
            found.map(Field::shown)
        };
        Facts {
            credential: holds(Holds::Credential, &none),
            issued: holds(Holds::Credential, &sent),
            secret: holds(Holds::Secret, &none),
            policy: asks(Field::is_policy),
            role: asks(Field::is_role),
        }
    }

    fn of(&mut self, operation: &Value, side: &str) -> Vec<Field> {
        let shape = operation.get(side).and_then(|it| it.get("shape")?.as_str());
        self.walked.clear();
        if let Some(shape) = shape {
            let start = Step {
                shape,
                documentation: "",
                sensitive: false,
            };
            self.step(&start, &mut Vec::new(), &mut Vec::new());
        }
        std::mem::take(&mut self.fields)
    }

    fn step(&mut self, step: &Step<'_>, path: &mut Vec<String>, seen: &mut Vec<String>) {
        let Some(shape) = self.model.get("shapes").and_then(|it| it.get(step.shape)) else {
            return;
        };
        let kind = text(shape, "type");
        let sensitive = step.sensitive || shape.get("sensitive") == Some(&Value::Bool(true));
        let of = |member: &'static str| {
            let shape = shape.get(member).and_then(|it| it.get("shape")?.as_str());
            shape.map(|shape| Step {
                shape,
                documentation: step.documentation,
                sensitive,
            })
        };
        if path.len() > MAX_DEPTH {
            return;
        }
        match kind {
            "structure" => {
                let times = self.walked.entry(step.shape.to_owned()).or_default();
                *times += 1;
                if *times > MAX_WALKS || seen.iter().any(|name| name == step.shape) {
                    return;
                }
                seen.push(step.shape.to_owned());
                let members = shape.get("members").and_then(Value::as_object);
                for (name, member) in members.into_iter().flatten() {
                    path.push(name.clone());
                    let documentation = text(member, "documentation");
                    let next = Step {
                        shape: text(member, "shape"),
                        documentation,
                        sensitive,
                    };
                    self.step(&next, path, seen);
                    path.pop();
                }
                seen.pop();
            }
            "list" => {
                if let Some(next) = of("member") {
                    self.step(&next, path, seen);
                }
            }
            "map" => {
                self.add(step, shape, sensitive, path);
                if let Some(next) = of("value") {
                    self.step(&next, path, seen);
                }
            }
            _ => self.add(step, shape, sensitive, path),
        }
    }

    fn add(&mut self, step: &Step<'_>, shape: &Value, sensitive: bool, path: &[String]) {
        let own = text(shape, "documentation");
        let key = shape.get("key").and_then(|it| it.get("shape")?.as_str());
        let key = key.and_then(|key| self.model.get("shapes")?.get(key));
        let listed = |shape: &Value| -> Vec<String> {
            let values = shape
                .get("enum")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            values
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        self.fields.push(Field {
            operation: self.operation.to_owned(),
            path: path.to_vec(),
            kind: text(shape, "type").to_owned(),
            sensitive,
            closed: !listed(shape).is_empty(),
            documentation: [step.documentation, own].concat().to_ascii_lowercase(),
            keys: key.map(listed).unwrap_or_default(),
        });
    }
}

struct Step<'a> {
    shape: &'a str,
    documentation: &'a str,
    sensitive: bool,
}

/// Puts `*` into an ARN of the reference where it leaves a part open.
pub(super) fn opened(arn: &str) -> String {
    let mut parts = arn.split("${");
    let mut opened = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        opened.push('*');
        opened.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    opened.replace(' ', "")
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn sorted(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder)?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Unpacks gzip (RFC 1952), for files whose header has at most a name.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    const HAS_NAME: u8 = 8;
    let (head, rest) = bytes.split_at_checked(10).context("not a gzip file")?;
    let flags = head.get(3).copied().unwrap_or_default();
    ensure!(
        head.starts_with(&[0x1f, 0x8b, 8]) && flags & !HAS_NAME == 0,
        "not a plain gzip file"
    );
    let body = if flags & HAS_NAME == 0 {
        rest
    } else {
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .context("no end of the name")?;
        rest.get(end + 1..).unwrap_or_default()
    };
    miniz_oxide::inflate::decompress_to_vec(body).map_err(|error| anyhow::anyhow!("{error}"))
}
