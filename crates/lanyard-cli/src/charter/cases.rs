//! Golden cases: a file beside the charter, `name.test.yaml`, with requests and what the charter
//! has to answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lanyard_charter::plan::{PLAN_FORMATS, PlanFormat};
use lanyard_charter::{ActionPattern, Usage, Version};
use lanyard_core::question::{CharterAnswer, Planned, Question};
use lanyard_document::{Code, Diagnostic, Fields, Findings, Node, Span, read};
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

/// Parses a file of cases.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Cases, Vec<Diagnostic>> {
    let root = read(text).map_err(|fault| vec![fault])?;
    let findings = Findings::default();
    let cases = file(&findings, &root, path);
    let faults = findings.sorted();
    match cases {
        Some(cases) if faults.is_empty() => Ok(cases),
        Some(_) | None => Err(faults),
    }
}

fn file(f: &Findings, root: &Node, path: &Path) -> Option<Cases> {
    let top = f.map(root)?;
    for (name, value) in [("apiVersion", "lanyard.dev/v1"), ("kind", "CharterTest")] {
        if let Some(node) = top.required(name) {
            f.one_of(node, &[(value, ())]);
        }
    }
    let charter = top.required("charter").and_then(|node| f.text(node));
    let agent = top.optional("agent").and_then(|node| identity(f, node));
    let version = top.optional("version").and_then(|node| version(f, node));
    let cases = top.required("cases").map(|node| {
        let items = f.list(node).iter();
        items
            .filter_map(|item| case(f, item, agent.as_ref(), version.as_ref()))
            .collect()
    });
    top.finish();
    let folder = path.parent().unwrap_or(Path::new(""));
    Some(Cases {
        charter: folder.join(charter?),
        cases: cases?,
    })
}

fn identity(f: &Findings, node: &Node) -> Option<Identity> {
    let fields = f.map(node)?;
    let text = |name| Some(f.text(fields.required(name)?)?.to_owned());
    let (issuer, subject) = (text("issuer"), text("subject"));
    fields.finish();
    Some(Identity {
        issuer: issuer?,
        subject: subject?,
    })
}

fn version(f: &Findings, node: &Node) -> Option<Version> {
    let fields = f.map(node)?;
    let model = fields.required("model").and_then(|node| f.text(node));
    let prompt = fields.optional("prompt").and_then(|node| f.parsed(node));
    fields.finish();
    Some(Version {
        model: model?.to_owned(),
        prompt,
    })
}

fn case(
    f: &Findings,
    node: &Node,
    usual: Option<&Identity>,
    usual_version: Option<&Version>,
) -> Option<Case> {
    let fields = f.map(node)?;
    let stated = fields.optional("version").and_then(|node| version(f, node));
    let name = fields.required("name").and_then(|node| f.text(node));
    let identity = fields
        .optional("agent")
        .and_then(|node| identity(f, node))
        .or_else(|| usual.cloned());
    let evidence = fields.optional("claims").and_then(|node| claims(f, node));
    if identity.is_none() {
        let message = "no agent asks: name one here, or for the whole file".to_owned();
        f.add(Diagnostic::new(Code::Missing, node.span, message));
    }
    let environment = fields
        .required("environment")
        .and_then(|node| f.parsed::<Name>(node));
    let grant = fields
        .required("grant")
        .and_then(|node| f.parsed::<Name>(node));
    let lifetime = fields
        .optional("ttl")
        .and_then(|node| f.span_of_time(node, DAY));
    let worst = fields
        .optional("worst_case")
        .and_then(|node| f.span_of_time(node, DAY));
    let now = fields
        .optional("at")
        .map_or(Some(Timestamp::EPOCH), |node| f.time(node, false));
    let emergency = fields.optional("emergency").map_or(Some(false), |node| {
        f.one_of(node, &[("true", true), ("false", false)])
    });
    let ticket = fields.optional("ticket").and_then(|node| f.text(node));
    let (plan, plan_file) = match fields.optional("plan") {
        Some(node) => {
            let (plan, file) = plan(f, node)?;
            (Some(plan), file)
        }
        None => (None, None),
    };
    let using = fields.optional("using").and_then(|node| using(f, node));
    let expected = fields.required("expect");
    fields.finish();
    let expected = expected?;
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
        at: expected.span,
        expected: expectation(f, expected)?,
    })
}

/// Reads the claims that are proved of the agent; no other claim is.
fn claims(f: &Findings, node: &Node) -> Option<Evidence> {
    let fields = f.map(node)?;
    let claims = fields.open();
    let claims = claims.filter_map(|(name, _, value)| {
        let value = f.text(value)?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(Evidence {
        claims: claims.collect(),
        ..Evidence::default()
    })
}

/// `plan: {file: plans/queue.json, form: terraform-json, destructive: []}`; without a file, one
/// that is supposed.
fn plan(f: &Findings, node: &Node) -> Option<(Planned, Option<PlanFile>)> {
    let fields = f.map(node)?;
    let destructive = fields
        .optional("destructive")
        .map_or(&[][..], |node| f.list(node));
    let file = fields.optional("file").and_then(|node| f.text(node));
    // Where nothing is said, the file is recognised.
    let form: Option<Option<PlanFormat>> = match fields.optional("form") {
        None => Some(None),
        Some(node) => f.one_of(node, PLAN_FORMATS).map(Some),
    };
    fields.finish();
    let actions = destructive.iter().filter_map(|item| f.text(item));
    let named = actions.map(|action| ActionPattern(action.to_owned()));
    let format = form?;
    let file = file.map(|path| PlanFile {
        path: PathBuf::from(path),
        format,
    });
    Some((Planned::naming(named.collect()), file))
}

fn using(f: &Findings, node: &Node) -> Option<Usage> {
    let parts: Vec<&str> = f
        .list(node)
        .iter()
        .filter_map(|item| f.text(item))
        .collect();
    let [action, resource, context @ ..] = parts.as_slice() else {
        let message = "expected an action and a resource".to_owned();
        f.add(Diagnostic::new(Code::Value, node.span, message));
        return None;
    };
    let context: Vec<String> = context.iter().map(|part| (*part).to_owned()).collect();
    let fault = |why| f.add(Diagnostic::new(Code::Value, node.span, why));
    usage(action, resource, &context).map_err(fault).ok()
}

fn expectation(f: &Findings, node: &Node) -> Option<Expected> {
    let fields: Fields<'_> = f.map(node)?;
    let words = [("allow", true), ("deny", false)];
    let expected = Expected {
        allow: fields
            .optional("decision")
            .and_then(|node| f.one_of(node, &words)),
        rule: fields
            .optional("rule")
            .and_then(|node| f.text(node))
            .map(str::to_owned),
        people: fields
            .optional("people")
            .and_then(|node| f.number(node, 0, 20)),
        ttl: fields
            .optional("ttl")
            .and_then(|node| f.span_of_time(node, DAY)),
    };
    fields.finish();
    Some(expected)
}
