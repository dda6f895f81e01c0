//! `diff` against the answers themselves: it names a widening exactly when something is allowed
//! that was not.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use lanyard_charter::{ActionPattern, Charter, Effect, Usage, World, diff, parse};
use lanyard_core::question::{Planned, Question, ask};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::time::{Timestamp, Ttl};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const ACTIONS: &[&str] = &["s3:GetObject", "s3:Get*", "s3:PutObject", "s3:DeleteObject"];
const ASKED: &[&str] = &[
    "s3:GetObject",
    "s3:GetBucketAcl",
    "s3:GetObjectAcl",
    "s3:PutObject",
    "s3:DeleteObject",
];
const RESOURCES: &[&str] = &["arn:aws:s3:::a/*", "arn:aws:s3:::a/b", "arn:aws:s3:::c"];
const OBJECTS: &[&str] = &["arn:aws:s3:::a/b", "arn:aws:s3:::a/d", "arn:aws:s3:::c"];
const SCOPES: &[&str] = &["one", "two"];
const SUBJECTS: &[&str] = &["agent:x", "agent:*", "other"];
const IDENTITIES: &[&str] = &["agent:x", "agent:y", "other"];

fn world() -> World {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    World::of_configuration(declared).unwrap()
}

#[derive(Debug, Clone)]
struct Drawn {
    actions: Vec<&'static str>,
    resources: Vec<&'static str>,
    destructive: bool,
    prohibited: Vec<&'static str>,
    scopes: Vec<&'static str>,
    subjects: Vec<&'static str>,
    autonomy: &'static str,
    reads_in: Vec<&'static str>,
    people: u32,
    plan: bool,
    ttl: &'static str,
    shadow: bool,
}

fn some(of: &'static [&'static str], least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(of, least..=of.len())
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let rights = (
        some(ACTIONS, 1),
        some(RESOURCES, 1),
        any::<bool>(),
        subsequence(&["s3:DeleteObject", "s3:GetBucket*"], 0..=2),
        some(SCOPES, 1),
    );
    let bounds = (
        some(SUBJECTS, 1),
        select(&["observe", "execute-sandbox"]),
        some(&["staging", "production"], 1),
        0_u32..3,
        any::<bool>(),
        select(&["5m", "10m"]),
        prop::bool::weighted(0.1),
    );
    (rights, bounds).prop_map(|(rights, bounds)| {
        let (actions, resources, destructive, prohibited, scopes) = rights;
        let (subjects, autonomy, reads_in, people, plan, ttl, shadow) = bounds;
        Drawn {
            actions,
            resources,
            destructive,
            prohibited,
            scopes,
            subjects,
            autonomy,
            reads_in,
            people,
            plan,
            ttl,
            shadow,
        }
    })
}

/// The same but for a field or two.
fn changed(old: &Drawn, other: Drawn, taken: [u8; 12]) -> Drawn {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = taken.map(|byte| byte < 40);
    let old = old.clone();
    Drawn {
        actions: if a { other.actions } else { old.actions },
        resources: if b { other.resources } else { old.resources },
        destructive: if c {
            other.destructive
        } else {
            old.destructive
        },
        prohibited: if d { other.prohibited } else { old.prohibited },
        scopes: if e { other.scopes } else { old.scopes },
        subjects: if f { other.subjects } else { old.subjects },
        autonomy: if g { other.autonomy } else { old.autonomy },
        reads_in: if h { other.reads_in } else { old.reads_in },
        people: if i { other.people } else { old.people },
        plan: if j { other.plan } else { old.plan },
        ttl: if k { other.ttl } else { old.ttl },
        shadow: if l { other.shadow } else { old.shadow },
    }
}

/// The charter, where it is one: some draws break the rules of the language.
fn charter(of: &Drawn) -> Option<Charter> {
    let list = |items: &[&str]| {
        format!(
            "[{}]",
            items
                .iter()
                .map(|i| format!("\"{i}\""))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let mut text = format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: drawn}}\nspec:\n  purpose: To be compared.\n\
         \x20 owners: {{business: a, technical: b, security: c}}\n  mode: {}\n  agents:\n",
        if of.shadow { "shadow" } else { "enforce" }
    );
    for subject in &of.subjects {
        writeln!(
            text,
            "    - {{issuer: https://i.example, subject: \"{subject}\"}}"
        )
        .unwrap();
    }
    writeln!(
        text,
        "  environments: {{staging: {{autonomy: {}}}, production: {{autonomy: observe}}}}\n  grants:",
        of.autonomy
    )
    .unwrap();
    if of.autonomy != "observe" {
        writeln!(
            text,
            "    - name: change\n      role: apply\n      environments: [staging]\n      aws:\n        target: payments-prod\n        allow: [{{actions: {}, resources: {}}}]",
            list(&of.actions),
            list(&of.resources)
        )
        .unwrap();
        if of.destructive && of.actions.contains(&"s3:DeleteObject") {
            text.push_str("        destructive: [\"s3:DeleteObject\"]\n");
        }
    }
    writeln!(
        text,
        "    - name: read\n      role: plan\n      environments: {}\n      token: {{target: tickets, audience: https://a.example, scopes: {}}}",
        list(&of.reads_in),
        list(&of.scopes)
    )
    .unwrap();
    if !of.prohibited.is_empty() {
        writeln!(
            text,
            "  prohibited: [{{aws: {}, reason: no}}]",
            list(&of.prohibited)
        )
        .unwrap();
    }
    if of.plan {
        text.push_str("  plans: {required: {role: apply, environments: [staging]}}\n");
    }
    writeln!(
        text,
        "  approvals: [{{when: {{role: apply}}, people: {}}}]\n  limits: {{ttl: {}, task: 2h, live_leases: 5, mints: {{count: 5, per: 1h}}}}",
        of.people, of.ttl
    )
    .unwrap();
    parse(&text, &world()).ok().map(|parsed| parsed.charter)
}

fn questions() -> Vec<Question> {
    let aws = ASKED.iter().flat_map(|action| {
        OBJECTS.iter().map(|resource| Usage {
            action: (*action).to_owned(),
            resource: (*resource).to_owned(),
            context: std::collections::BTreeMap::new(),
        })
    });
    let scopes = SCOPES.iter().map(|scope| Usage {
        action: "scope".to_owned(),
        resource: (*scope).to_owned(),
        ..Usage::default()
    });
    let usages: Vec<(&str, Option<Usage>)> = aws
        .map(|usage| ("change", Some(usage)))
        .chain(scopes.map(|usage| ("read", Some(usage))))
        .chain([("change", None), ("read", None)])
        .collect();
    let deleting: BTreeSet<_> = [ActionPattern("s3:DeleteObject".to_owned())].into();
    let plans = [None, Some(BTreeSet::new()), Some(deleting)];
    let mut all = Vec::new();
    for subject in IDENTITIES {
        for environment in ["staging", "production"] {
            for (grant, usage) in &usages {
                for plan in &plans {
                    all.push(Question {
                        version: None,
                        emergency: false,
                        identity: Identity {
                            issuer: "https://i.example".to_owned(),
                            subject: (*subject).to_owned(),
                        },
                        evidence: None,
                        environment: environment.parse().unwrap(),
                        grant: grant.parse().unwrap(),
                        ttl: None,
                        plan: plan.clone().map(Planned::naming),
                        ticket: None,
                        usage: usage.clone(),
                        worst_case: Duration::ZERO,
                    });
                }
            }
        }
    }
    all
}

/// Returns the lifetime, and the number of people who approve.
fn answer(charter: &Charter, question: &Question) -> Option<(Ttl, u32)> {
    let ask = |question: &Question| {
        let answer = ask(charter, question, Timestamp::from_secs(0));
        answer.verdict.ok()
    };
    // To name what need not be named is refused; the same can then be had without the name.
    let unnamed = || {
        let named = question
            .plan
            .as_ref()
            .is_some_and(|plan| !plan.destructive.is_empty());
        let plan = named.then(Planned::default);
        plan.and_then(|plan| {
            ask(&Question {
                plan: Some(plan),
                ..question.clone()
            })
        })
    };
    let allowed = ask(question).or_else(unnamed)?;
    Some((allowed.ttl, allowed.people()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_widening_is_named_exactly_when_there_is_one(old in drawn(), other in drawn(), taken in any::<[u8; 12]>()) {
        let new = changed(&old, other, taken);
        let (Some(old), Some(new)) = (charter(&old), charter(&new)) else { return Ok(()) };
        let wider = questions().into_iter().find(|question| match (answer(&old, question), answer(&new, question)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => after.0 > before.0 || after.1 < before.1,
        });
        let named: Vec<_> = diff(&old, &new)
            .into_iter()
            .filter(|change| change.effect == Effect::Widening)
            .collect();
        prop_assert_eq!(wider.is_some(), !named.is_empty(), "{:?}\n{:#?}", wider, named);
    }
}

/// An input, narrowed by a step; the same where it is as narrow as it can be.
fn narrowed(of: &Drawn, which: u8) -> Drawn {
    let fewer = |items: &[&'static str]| match items {
        [_, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        one => one.to_vec(),
    };
    let mut new = of.clone();
    match which % 9 {
        0 => new.actions = fewer(&of.actions),
        1 => new.resources = fewer(&of.resources),
        2 => new.scopes = fewer(&of.scopes),
        3 => new.subjects = fewer(&of.subjects),
        4 => new.reads_in = fewer(&of.reads_in),
        5 => new.people += 1,
        6 => new.plan = true,
        7 => new.ttl = "5m",
        _ => new.shadow = true,
    }
    new
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // T17
    #[test]
    fn narrowing_an_input_never_widens_an_answer(old in drawn(), which in any::<u8>()) {
        let new = narrowed(&old, which);
        let (Some(old), Some(new)) = (charter(&old), charter(&new)) else { return Ok(()) };
        for question in questions() {
            let (before, after) = (answer(&old, &question), answer(&new, &question));
            let Some(after) = after else { continue };
            prop_assert!(before.is_some_and(|before| after.0 <= before.0 && after.1 >= before.1), "{question:?}");
        }
    }

    #[test]
    fn what_is_prohibited_is_never_given(of in drawn()) {
        let Some(charter) = charter(&of) else { return Ok(()) };
        let prohibited = |action: &str| {
            of.prohibited.iter().any(|pattern| ActionPattern((*pattern).to_owned()).matches(action))
        };
        for question in questions() {
            if let Some(usage) = &question.usage && prohibited(&usage.action) {
                prop_assert_eq!(answer(&charter, &question), None, "{:?}", question);
            }
        }
    }
}

#[test]
fn what_is_done_by_hours_versions_breakers_emergencies_and_delegation_widens_or_narrows() {
    let hours = |to: &str, outside: &str| {
        base(&format!(
            "  hours: {{zone: UTC, days: [mon, tue], from: '08:00', to: '{to}', outside: {outside}}}\n"
        ))
    };
    let versions = |all: &str| base(&format!("  versions: [{all}]\n"));
    let breaker = |count: u32| {
        base(&format!(
            "  breakers: [{{on: denied, count: {count}, within: 10m, then: stop-agent}}]\n"
        ))
    };
    let emergency = |lasts: &str| {
        base(&format!(
            "  emergency: {{grants: [read], people: 0, lasts: {lasts}}}\n"
        ))
    };
    let wider = [
        (hours("18:00", "deny"), hours("20:00", "deny")),
        (hours("18:00", "deny"), hours("18:00", "require-approval")),
        (hours("18:00", "deny"), base("")),
        (versions("{model: a}"), versions("{model: a}, {model: b}")),
        (versions("{model: a}"), base("")),
        (breaker(3), breaker(4)),
        (breaker(3), base("")),
        (base(""), emergency("1h")),
        (emergency("1h"), emergency("2h")),
        (base(""), base("  delegates: [other]\n")),
    ];
    for (old, new) in wider {
        assert!(widens(&old, &new).0, "{:#?}", diff(&old, &new));
        let (widened, narrowed) = widens(&new, &old);
        assert!(narrowed && !widened, "{:#?}", diff(&new, &old));
        assert_eq!(diff(&old, &old), []);
    }
}

#[test]
fn more_of_a_vault_or_of_github_is_a_widening() {
    let vault = |grant: &str| giving(&format!("vault: {{target: secrets, {grant}}}"));
    let github = |grant: &str| giving(&format!("github: {{target: acme, {grant}}}"));
    let wider = [
        (vault("policies: [a]"), vault("policies: [a, b]")),
        (
            vault("policies: [a], uses: 3"),
            vault("policies: [a], uses: 4"),
        ),
        (vault("policies: [a], uses: 3"), vault("policies: [a]")),
        (
            github("repositories: [a], permissions: {contents: read}"),
            github("repositories: [a, b], permissions: {contents: read}"),
        ),
        (
            github("repositories: [a], permissions: {contents: read}"),
            github("repositories: [a], permissions: {contents: read, issues: read}"),
        ),
        (
            github("repositories: [a], profile: propose, permissions: {issues: read}"),
            github("repositories: [a], profile: propose, permissions: {issues: write}"),
        ),
    ];
    for (old, new) in wider {
        assert!(widens(&old, &new).0, "{:#?}", diff(&old, &new));
        let (widened, narrowed) = widens(&new, &old);
        assert!(narrowed && !widened, "{:#?}", diff(&new, &old));
        assert_eq!(diff(&old, &old), []);
    }
    // One secret instead of another is both, and so is a token instead of a secret.
    let secret = |path: &str| vault(&format!("policies: [a], secret: database/creds/{path}"));
    assert_eq!(widens(&secret("a"), &secret("b")), (true, true));
    assert_eq!(widens(&secret("a"), &vault("policies: [a]")), (true, true));
}

fn giving(rights: &str) -> Charter {
    let text = base_text("").replace("token: {target: tickets, audience: a}", rights);
    let text = text.replace("autonomy: observe", "autonomy: propose");
    parse(&text, &world()).unwrap().charter
}

/// Tells if something is widened, and whether something is narrowed.
fn widens(old: &Charter, new: &Charter) -> (bool, bool) {
    let changes = diff(old, new);
    let any = |effect| changes.iter().any(|change| change.effect == effect);
    (any(Effect::Widening), any(Effect::Narrowing))
}

fn base(more: &str) -> Charter {
    parse(&base_text(more), &world()).unwrap().charter
}

fn base_text(more: &str) -> String {
    format!(
        "apiVersion: lanyard.dev/v1\nkind: Charter\nmetadata: {{name: a}}\nspec:\n  purpose: P.\n  owners: {{business: a, technical: b, security: c}}\n  agents: [{{issuer: i, subject: s}}]\n  environments: {{staging: {{autonomy: observe}}}}\n  grants:\n    - name: read\n      role: plan\n      environments: [staging]\n      token: {{target: tickets, audience: a}}\n  limits: {{ttl: 5m, task: 2h, live_leases: 5, mints: {{count: 5, per: 1h}}}}\n{more}"
    )
}

#[test]
fn a_shorter_freeze_and_a_later_end_are_widenings() {
    let freeze = |to: &str| {
        base(&format!(
            "  freezes: [{{from: 2026-12-20, to: {to}, roles: [plan, apply], reason: r}}]\n"
        ))
    };
    let ends = |day: &str| base(&format!("  expires: {day}\n"));
    let effects = |old: &Charter, new: &Charter| -> Vec<Effect> {
        diff(old, new).iter().map(|change| change.effect).collect()
    };
    let (long, short) = (freeze("2027-01-04"), freeze("2026-12-31"));
    for (old, new) in [
        (&long, &base("")),
        (&ends("2027-01-01"), &ends("2027-02-01")),
        (&ends("2027-01-01"), &base("")),
    ] {
        assert_eq!(effects(old, new), [Effect::Widening]);
        assert_eq!(effects(new, old), [Effect::Narrowing]);
    }
    assert!(effects(&long, &short).contains(&Effect::Widening));
    assert!(!effects(&base(""), &short).contains(&Effect::Widening));
}
