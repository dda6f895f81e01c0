//! Golden cases: a file beside the charter, `name.test.yaml`, with requests and what the charter
//! has to answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lanyard_charter::plan::{PLAN_FORMATS, PlanFormat};
use lanyard_charter::{ActionPattern, Usage, Version};
use lanyard_core::question::{CharterAnswer, Planned, Question};
use lanyard_document::shape::{Form, List, Map, Open, Shape, Word, optional, required};
use lanyard_document::{Code, Diagnostic, Findings, Item, Span, read};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::explain::usage;
use super::plans::PlanFile;

/// The longest span of time that a case may name.
const DAY: Ttl = Ttl::at_least_a_second(24 * 3600);

/// A file of cases.
pub(crate) struct Cases {
    /// The charter, beside the file.
    pub(crate) charter: PathBuf,
    pub(crate) cases: Vec<Case>,
}

/// A request and its golden answer.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) question: Question,
    /// The plan, beside the file of cases.
    pub(crate) plan_file: Option<PlanFile>,
    /// The time at which the question is asked; long ago, if the case does not say.
    pub(crate) now: Timestamp,
    pub(crate) expected: Expected,
    /// The position of the expectation.
    pub(crate) at: Span,
}

/// The parts of a decision that a case expects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) allow: Option<bool>,
    /// The rule that says no.
    pub(crate) rule: Option<String>,
    pub(crate) people: Option<u32>,
    pub(crate) ttl: Option<Ttl>,
}

impl Expected {
    /// Everything about an answer.
    pub(crate) fn of(answer: &CharterAnswer) -> Self {
        match &answer.verdict {
            Ok(allowed) => Self {
                allow: Some(true),
                rule: None,
                people: Some(allowed.people()),
                ttl: Some(allowed.ttl),
            },
            Err(denial) => Self {
                allow: Some(false),
                rule: Some(denial.rule.to_string()),
                people: None,
                ttl: None,
            },
        }
    }

    /// Says what differs from the expectation. A part that the case does not name is not compared.
    pub(crate) fn against(&self, found: &Self) -> Vec<String> {
        let mut wrong = Vec::new();
        if *self == Self::default() {
            wrong.push("the case expects nothing: say what, or run with --update".to_owned());
        }
        if self.allow.is_some() && self.allow != found.allow {
            let word = |allow| if allow == Some(true) { "allow" } else { "deny" };
            wrong.push(format!(
                "decision {}, not {}",
                word(found.allow),
                word(self.allow)
            ));
        }
        let shown = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let mut compare = |what, expected: Option<String>, found: Option<String>| {
            if expected.is_some() && expected != found {
                wrong.push(format!("{what} {}, not {}", shown(found), shown(expected)));
            }
        };
        compare("rule", self.rule.clone(), found.rule.clone());
        let number = |people: Option<u32>| people.map(|people| people.to_string());
        compare("people", number(self.people), number(found.people));
        let time = |ttl: Option<Ttl>| ttl.map(|ttl| ttl.to_string());
        compare("ttl", time(self.ttl), time(found.ttl));
        wrong
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(allow) = self.allow {
            parts.push(format!(
                "decision: {}",
                if allow { "allow" } else { "deny" }
            ));
        }
        parts.extend(self.rule.as_ref().map(|rule| format!("rule: {rule}")));
        parts.extend(self.people.map(|people| format!("people: {people}")));
        parts.extend(self.ttl.map(|ttl| format!("ttl: {ttl}")));
        write!(f, "{{{}}}", parts.join(", "))
    }
}

const TRUTHS: &[Word<bool>] = &[Word::new("true", true), Word::new("false", false)];
const DECISIONS: &[Word<bool>] = &[Word::new("allow", true), Word::new("deny", false)];

/// Describes a file of cases.
fn shape() -> Shape {
    let agent = "Who asks, where a case names nobody.";
    let version = "The build that asks, where a case names none.";
    Map::new()
        .with(required(
            "apiVersion",
            "The version of the language.",
            Shape::Constant("lanyard.dev/v1"),
        ))
        .with(required(
            "kind",
            "What the file holds.",
            Shape::Constant("CharterTest"),
        ))
        .with(required(
            "charter",
            "The charter, beside the file.",
            Shape::Text,
        ))
        .with(optional("agent", agent, identity_shape()))
        .with(optional("version", version, version_shape()))
        .with(required(
            "cases",
            "Requests with what the charter has to answer.",
            List::of(case_shape()),
        ))
        .into()
}

fn identity_shape() -> Map {
    Map::new()
        .with(required("issuer", "The exact issuer.", Shape::Text))
        .with(required("subject", "The exact subject.", Shape::Text))
}

fn version_shape() -> Map {
    Map::new()
        .with(required("model", "The model.", Shape::Text))
        .with(optional(
            "prompt",
            "The digest of the instructions.",
            Form::DIGEST,
        ))
}

fn case_shape() -> Map {
    let claims = Open::of(Form::ANY, Shape::Text);
    let plan = Map::new()
        .with(optional("file", "The plan, beside the file.", Shape::Text))
        .with(optional("form", "Its form.", Shape::words(PLAN_FORMATS)).absent("is recognised"))
        .with(optional(
            "destructive",
            "The destructive actions that the plan names.",
            List::of(Shape::Text),
        ));
    let using = "One use of the credential: an action, a resource, and keys with values.";
    let expected = Map::new()
        .with(optional(
            "decision",
            "The decision.",
            Shape::words(DECISIONS),
        ))
        .with(optional("rule", "The rule that says no.", Shape::Text))
        .with(optional(
            "people",
            "The people who approve.",
            Shape::number(0, 20),
        ))
        .with(optional("ttl", "The credential's life.", Shape::span(DAY)));
    Map::new()
        .with(required("name", "For people.", Shape::Text))
        .with(optional("agent", "Who asks.", identity_shape()))
        .with(optional("claims", "What is proved of the agent.", claims))
        .with(optional("version", "The build that asks.", version_shape()))
        .with(required("environment", "Where.", Form::NAME))
        .with(required(
            "grant",
            "The grant that is asked for.",
            Form::NAME,
        ))
        .with(optional(
            "ttl",
            "The life that is asked for.",
            Shape::span(DAY),
        ))
        .with(optional(
            "worst_case",
            "How long after a kill the credential may go on.",
            Shape::span(DAY),
        ))
        .with(optional("at", "When.", Form::TIME).absent("long ago"))
        .with(
            optional(
                "emergency",
                "True while an emergency is declared.",
                Shape::words(TRUTHS),
            )
            .or("false"),
        )
        .with(optional("ticket", "The task's ticket.", Shape::Text))
        .with(optional("plan", "The approved plan.", plan))
        .with(optional("using", using, List::of(Shape::Text)))
        .with(required("expect", "The answer.", expected))
}

/// Parses a file of cases.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Cases, Vec<Diagnostic>> {
    let root = read(text).map_err(|fault| vec![fault])?;
    let (findings, shape) = (Findings::default(), shape());
    let cases = file(findings.item(&root, &shape), path);
    let faults = findings.sorted();
    match cases {
        Some(cases) if faults.is_empty() => Ok(cases),
        Some(_) | None => Err(faults),
    }
}

fn file(root: Item<'_>, path: &Path) -> Option<Cases> {
    let top = root.section()?;
    for name in ["apiVersion", "kind"] {
        if let Some(item) = top.get(name) {
            item.constant();
        }
    }
    let charter = top.get("charter").and_then(Item::text);
    let agent = top.get("agent").and_then(identity);
    let version = top.get("version").and_then(version);
    let cases = top.get("cases").map(|item| {
        let items = item.items().into_iter();
        items
            .filter_map(|item| case(item, agent.as_ref(), version.as_ref()))
            .collect()
    });
    let folder = path.parent().unwrap_or(Path::new(""));
    Some(Cases {
        charter: folder.join(charter?),
        cases: cases?,
    })
}

fn identity(item: Item<'_>) -> Option<Identity> {
    let section = item.section()?;
    let text = |name| Some(section.get(name)?.text()?.to_owned());
    let (issuer, subject) = (text("issuer"), text("subject"));
    Some(Identity {
        issuer: issuer?,
        subject: subject?,
    })
}

fn version(item: Item<'_>) -> Option<Version> {
    let section = item.section()?;
    let model = section.get("model").and_then(Item::text);
    let prompt = section.get("prompt").and_then(Item::parsed);
    Some(Version {
        model: model?.to_owned(),
        prompt,
    })
}

fn case(item: Item<'_>, usual: Option<&Identity>, usual_version: Option<&Version>) -> Option<Case> {
    let section = item.section()?;
    let span = |name| section.get(name).and_then(Item::span_of_time);
    let stated = section.get("version").and_then(version);
    let name = section.get("name").and_then(Item::text);
    let identity = section.get("agent").and_then(identity);
    let identity = identity.or_else(|| usual.cloned());
    let evidence = section.get("claims").map(claims);
    if identity.is_none() {
        let message = "no agent asks: name one here, or for the whole file";
        item.report(Code::Missing, message);
    }
    let environment = section.get("environment").and_then(Item::parsed::<Name>);
    let grant = section.get("grant").and_then(Item::parsed::<Name>);
    let (lifetime, worst) = (span("ttl"), span("worst_case"));
    let now = section.get("at");
    let now = now.map_or(Some(Timestamp::EPOCH), |item| item.time(false));
    let emergency = section.get("emergency").and_then(|item| item.word(TRUTHS));
    let ticket = section.get("ticket").and_then(Item::text);
    let plan = section.get("plan").map(plan);
    let using = section.get("using").and_then(using);
    let expected = section.get("expect")?;
    let expectation = expectation(expected);
    let (plan, plan_file) = match plan {
        Some(read) => {
            let (plan, file) = read?;
            (Some(plan), file)
        }
        None => (None, None),
    };
    Some(Case {
        name: name?.to_owned(),
        question: Question {
            identity: identity?,
            evidence,
            environment: environment?,
            grant: grant?,
            ttl: lifetime,
            emergency: emergency?,
            version: stated.or_else(|| usual_version.cloned()),
            plan,
            ticket: ticket.map(str::to_owned),
            usage: using,
            worst_case: worst.map_or(Duration::ZERO, Ttl::as_duration),
        },
        plan_file,
        now: now?,
        at: expected.span(),
        expected: expectation?,
    })
}

/// Reads the claims that are proved of the agent; no other claim is.
fn claims(item: Item<'_>) -> Evidence {
    let entries = item.entries().into_iter();
    let claims = entries.filter_map(|it| Some((it.name.to_owned(), it.value.text()?.to_owned())));
    Evidence {
        claims: claims.collect(),
        ..Evidence::default()
    }
}

/// `plan: {file: plans/queue.json, form: terraform-json, destructive: []}`; without a file, one
/// that is supposed.
fn plan(item: Item<'_>) -> Option<(Planned, Option<PlanFile>)> {
    let section = item.section()?;
    let destructive = section.get("destructive").map(Item::items);
    let actions = destructive.unwrap_or_default().into_iter();
    let actions = actions.filter_map(Item::text);
    let named = actions.map(|action| ActionPattern(action.to_owned()));
    let named = named.collect();
    let file = section.get("file").and_then(Item::text);
    // Where nothing is said, the file is recognised.
    let form = section.get("form").map(|item| item.word(PLAN_FORMATS));
    let format: Option<PlanFormat> = match form {
        Some(read) => Some(read?),
        None => None,
    };
    let file = file.map(|path| PlanFile {
        path: PathBuf::from(path),
        format,
    });
    Some((Planned::naming(named), file))
}

fn using(item: Item<'_>) -> Option<Usage> {
    let parts: Vec<&str> = item.items().into_iter().filter_map(Item::text).collect();
    let [action, resource, context @ ..] = parts.as_slice() else {
        item.report(Code::Value, "expected an action and a resource");
        return None;
    };
    let context: Vec<String> = context.iter().map(|part| (*part).to_owned()).collect();
    let fault = |why: String| item.report(Code::Value, why);
    usage(action, resource, &context).map_err(fault).ok()
}

fn expectation(item: Item<'_>) -> Option<Expected> {
    let section = item.section()?;
    let rule = section.get("rule").and_then(Item::text);
    Some(Expected {
        allow: section
            .get("decision")
            .and_then(|item| item.word(DECISIONS)),
        rule: rule.map(str::to_owned),
        people: section.get("people").and_then(Item::number),
        ttl: section.get("ttl").and_then(Item::span_of_time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_described_field_is_read() {
        let text = "apiVersion: lanyard.dev/v1
kind: CharterTest
charter: a.yaml
agent: {issuer: a, subject: b}
version: {model: a, prompt: PROMPT}
cases:
  - name: one
    agent: {issuer: a, subject: b}
    claims: {c: d}
    version: {model: a, prompt: PROMPT}
    environment: staging
    grant: read
    ttl: 5m
    worst_case: 5m
    at: 2026-12-20
    emergency: true
    ticket: T-1
    plan: {file: a.json, form: text, destructive: [sqs:DeleteQueue]}
    using: [read, orders]
    expect: {decision: allow, rule: hours, people: 1, ttl: 5m}
";
        let text = text.replace("PROMPT", &format!("\"sha256:{}\"", "0".repeat(64)));
        let (findings, root, shape) = (Findings::default(), read(&text).unwrap(), shape());
        let cases = file(findings.item(&root, &shape), Path::new("a.test.yaml"));
        assert_eq!(findings.sorted(), []);
        let case = cases.unwrap().cases.remove(0);
        assert!(case.question.emergency && case.question.usage.is_some());
        assert_eq!(case.expected.people, Some(1));
        assert_eq!(shape.untaken(), Vec::<String>::new());
    }
}
