//! Rules of `aws` grants that no charter can turn off: actions exist, plan roles only read,
//! identities are out of reach, and policies fit a session.

use lanyard_document::{Code, Diagnostic, Position};
use lanyard_vocabulary::role::Role;

use crate::aws::{
    Action, ActionPattern, AwsGrant, AwsStatement, Beyond, identity_refused, matched, unknown,
    version,
};
use crate::charter::Grant;
use crate::pattern::pattern_contains;
use crate::policy::{SESSION_POLICY_LIMIT, size};
use crate::prohibited_actions::ProhibitedActions;
use crate::world::Check;

/// The most unknown names of one charter that get a suggestion, which is costly (T27).
const SUGGESTIONS_PER_CHARTER: u32 = 20;
/// The most actions that the help for one pattern lists.
const NAMES_PER_HELP: usize = 10;

impl Check<'_> {
    pub(super) fn aws(&self, grant: &Grant, rights: &AwsGrant) {
        let name = &grant.name;
        for statement in &rights.allow {
            for action in &statement.actions {
                self.names(grant.at, action);
                let lower = action.lower();
                if let Some(why) = identity_refused(action, statement, rights) {
                    let (code, message) = if lower == "iam:passrole" {
                        (Code::PassedRole, format!("grant {name}: {action}: {why}"))
                    } else {
                        let never =
                            format!("grant {name}: {action} is never given to an agent: {why}");
                        (Code::IdentityAction, never)
                    };
                    self.f.add(self.about(grant, &action.0, code, message));
                } else if grant.role == Role::Plan {
                    self.looks(grant, rights, statement, action);
                }
                if grant.role == Role::Apply && self.in_production(grant) && action.is_wild() {
                    let message = format!("grant {name}: {action} holds a wildcard");
                    let finding = self.about(grant, &action.0, Code::WildcardInProduction, message);
                    self.f.add(finding);
                }
                if self.denied(&lower) {
                    let message = format!("grant {name}: {action} is prohibited by this charter");
                    let finding = self.about(grant, &action.0, Code::Prohibited, message);
                    self.f.add(finding);
                }
            }
        }
        self.picked(grant, rights);
        self.unnarrowed(grant, rights);
        self.partitions(grant, rights);
        self.fits(grant, rights);
    }

    /// Checks that AWS does not list what the charter calls unlisted.
    pub(crate) fn unlisted_actions(&self) {
        for action in &self.charter.unlisted {
            if !matched(&action.lower()).is_empty() {
                let message = format!("AWS lists {action}");
                let place = self.places.field(&["spec", "unlisted_actions"]);
                self.f
                    .add(Diagnostic::new(Code::ListedByNow, place, message));
            }
        }
    }

    fn is_unlisted(&self, action: &ActionPattern) -> bool {
        let mut unlisted = self.charter.unlisted.iter();
        unlisted.any(|one| one.lower() == action.lower())
    }

    /// Checks that the name is an action or matches one: a misspelt prohibition prohibits nothing.
    pub(super) fn names(&self, at: Position, action: &ActionPattern) {
        if !matched(&action.lower()).is_empty() || self.is_unlisted(action) {
            return;
        }
        // What is near takes a comparison with every action of the service.
        let asked = self.suggested.get();
        self.suggested.set(asked.saturating_add(1));
        let meant = if asked < SUGGESTIONS_PER_CHARTER {
            unknown(action).flatten()
        } else {
            None
        };
        let what = if action.is_wild() {
            "action that matches"
        } else {
            "action"
        };
        let message = format!("AWS lists no {what} {action}");
        let age = format!(
            "an action that is younger than this table ({}) is named in spec.unlisted_actions",
            version()
        );
        let help = match meant {
            Some(meant) => format!("{meant} {age}"),
            None => age,
        };
        let place = self.places.word(at, &action.0);
        self.f
            .add(Diagnostic::new(Code::NoSuchAction, place, message).help(help));
    }

    /// True if a prohibition of the charter covers the action, or the whole pattern.
    fn denied(&self, lower: &str) -> bool {
        let lowered = || {
            let prohibited = ProhibitedActions::of(&self.charter.prohibited);
            prohibited.map(ActionPattern::lower).collect()
        };
        let mut prohibited = self.prohibited.get_or_init(lowered).iter();
        prohibited.any(|pattern| pattern_contains(pattern, lower))
    }

    /// The actions that a pattern of the grant gives.
    fn given(&self, rights: &AwsGrant, pattern: &ActionPattern) -> Vec<&'static Action> {
        let held = matched(&pattern.lower()).into_iter();
        held.filter(|action| !rights.denies(action) && !self.denied(action.lower()))
            .collect()
    }

    /// Checks that the plan role only reads, and hands on only what a person approved.
    fn looks(
        &self,
        grant: &Grant,
        rights: &AwsGrant,
        statement: &AwsStatement,
        pattern: &ActionPattern,
    ) {
        let refuse = |why: &str, help: Option<&str>| {
            let name = &grant.name;
            let message = format!("grant {name} has the plan role, and {pattern}: {why}");
            let finding = self.about(grant, &pattern.0, Code::PlanWrites, message);
            self.f.add(match help {
                Some(help) => finding.help(help),
                None => finding,
            });
        };
        if matched(&pattern.lower()).is_empty() {
            refuse(
                "it is not an action that AWS lists, and counts as a write",
                None,
            );
            return;
        }
        let approved = |action: &Action| {
            let name = action.to_string();
            rights.approved.iter().any(|one| one.matches(&name))
        };
        let given = self.given(rights, pattern).into_iter();
        let more = given.filter_map(|action| {
            let beyond = action.beyond(&statement.when)?;
            let named = beyond.can_be_approved() && approved(action);
            (!named).then_some((action, beyond))
        });
        let more: Vec<(&Action, Beyond)> = more.collect();
        let Some((action, beyond)) = more.first() else {
            return;
        };
        let what = match beyond {
            Beyond::Writes => "which can write".to_owned(),
            Beyond::Permissions(_) => "which changes permissions".to_owned(),
            Beyond::HandsOn(why) | Beyond::Acts(why) => format!("and {why}"),
        };
        let why = if pattern.is_wild() {
            format!("it holds {action}, {what}")
        } else {
            beyond.to_string()
        };
        let help = if beyond.can_be_approved() && pattern.is_wild() {
            // What writes cannot be approved: each list names what it can hold.
            let (reads, writes): (Vec<_>, Vec<_>) = more
                .iter()
                .partition(|(_, beyond)| beyond.can_be_approved());
            let except =
                (!writes.is_empty()).then(|| format!("name in `except`: {}", names(&writes)));
            let approved = format!(
                "name in `except`, or in `approved` for a person to approve: {}",
                names(&reads)
            );
            Some(
                except
                    .into_iter()
                    .chain([approved])
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        } else if beyond.can_be_approved() {
            Some("name it in `approved`, and a person approves each credential".to_owned())
        } else {
            action.way()
        };
        refuse(&why, help.as_deref());
    }

    /// Checks that the grant allows what its other fields pick out.
    fn picked(&self, grant: &Grant, rights: &AwsGrant) {
        let name = &grant.name;
        let add = |code, action: &ActionPattern, why: &str| {
            let message = format!("grant {name}: {action} {why}");
            self.f.add(self.about(grant, &action.0, code, message));
        };
        let allowed = || rights.allow.iter().flat_map(|statement| &statement.actions);
        for action in &rights.destructive {
            self.names(grant.at, action);
            if !allowed().any(|wide| wide.matches(&action.0)) {
                add(
                    Code::Destructive,
                    action,
                    "is called destructive and is not allowed",
                );
            }
        }
        for action in &rights.except {
            self.names(grant.at, action);
            let (of, lower) = (allowed(), action.lower());
            let mut lowers = of.map(ActionPattern::lower);
            if !lowers.any(|one| pattern_contains(&one, &lower) || pattern_contains(&lower, &one)) {
                add(Code::Exception, action, "is excepted and is not allowed");
            }
        }
        for action in &rights.approved {
            self.names(grant.at, action);
            if grant.role == Role::Apply {
                add(
                    Code::Exception,
                    action,
                    "stands in `approved`, which is for the plan role: people approve the plan of an apply",
                );
                continue;
            }
            let mut statements = rights
                .allow
                .iter()
                .filter(|statement| statement.actions.iter().any(|wide| wide.matches(&action.0)));
            let needs = |statement: &AwsStatement| {
                let held = matched(&action.lower()).pop();
                let beyond = held.and_then(|action| action.beyond(&statement.when));
                matches!(beyond, Some(Beyond::HandsOn(_) | Beyond::Acts(_)))
            };
            if !statements.any(needs) && !matched(&action.lower()).is_empty() {
                add(
                    Code::Exception,
                    action,
                    "stands in `approved`, and is no read of the grant that hands something on or acts",
                );
            }
        }
    }

    /// Checks that an unnarrowed statement has no wildcards: an approver reads it in every plan.
    fn unnarrowed(&self, grant: &Grant, rights: &AwsGrant) {
        let name = &grant.name;
        let mut statements = rights.allow.iter();
        let marked = statements.by_ref().filter(|it| it.unnarrowed.is_some());
        let add = |word: &str, why: &str| {
            let message = format!("grant {name}: {why}");
            self.f
                .add(self.about(grant, word, Code::Unnarrowed, message));
        };
        for statement in marked {
            if grant.role == Role::Plan {
                add(
                    "unnarrowed",
                    "`unnarrowed` is for the apply role: no plan narrows the plan role",
                );
                return;
            }
            for action in statement.actions.iter().filter(|action| action.is_wild()) {
                let why = format!(
                    "{action} holds a wildcard, and no plan narrows it: write the actions out"
                );
                add(&action.0, &why);
            }
            if statement.resources.iter().any(|resource| resource.0 == "*") {
                add(
                    "unnarrowed",
                    "a statement on `*` is narrowed by no plan anyway; name the resources, or leave `unnarrowed` out",
                );
            }
            // Such a statement leaves the risk of a plan as it is, so it must not reach the states
            // of others.
            let resources = statement.resources.iter();
            for several in resources.filter(|it| it.0 != "*" && !names_one(&it.0)) {
                let why = format!(
                    "{} is more than one bucket, table or key, and no plan narrows it: write the name out",
                    several.0
                );
                add(&several.0, &why);
            }
        }
    }

    /// Checks partitions: a session of one partition reaches nothing in another.
    fn partitions(&self, grant: &Grant, rights: &AwsGrant) {
        let Some(own) = self.world.partitions.get(&grant.target) else {
            return;
        };
        let resources = rights
            .allow
            .iter()
            .flat_map(|statement| &statement.resources);
        let conditions = rights.allow.iter().flat_map(|statement| {
            let tests = statement.when.iter();
            tests.flat_map(|(_, test)| &test.values)
        });
        let arns = resources.map(|resource| &resource.0).chain(conditions);
        for arn in arns.filter(|text| text.starts_with("arn:")) {
            let partition = arn.split(':').nth(1).unwrap_or_default();
            if partition != own {
                let message = format!(
                    "grant {}: {arn} is in partition {partition}, and target {} in {own}",
                    grant.name, grant.target
                );
                self.f
                    .add(self.about(grant, arn, Code::ForeignPartition, message));
            }
        }
    }

    /// Checks that STS accepts the policy. A policy that is too large may fit once a plan has
    /// narrowed it.
    fn fits(&self, grant: &Grant, rights: &AwsGrant) {
        let size = size(rights, &self.charter.prohibited);
        if size <= SESSION_POLICY_LIMIT {
            return;
        }
        let plans = self.charter.plans.as_ref();
        let planned = grant.role == Role::Apply
            && plans.is_some_and(|rule| {
                let mut environments = grant.environments.iter();
                environments.all(|name| rule.is_about(Role::Apply, name))
            });
        let code = if planned {
            Code::FitsNarrowed
        } else {
            Code::PolicySize
        };
        let message = format!(
            "grant {}: its session policy takes {size} characters, and STS takes {SESSION_POLICY_LIMIT}",
            grant.name
        );
        let finding = self.about(grant, grant.name.as_str(), code, message);
        self.f.add(
            finding.help(
                "split the grant, or shorten its resources: nothing is left out to make it fit",
            ),
        );
    }
}

/// True if an ARN names one bucket, table or key, whatever is open beneath it:
/// `arn:aws:s3:::states/shop/*` does, `arn:aws:dynamodb:eu-west-1:111122223333:table/*` does not.
fn names_one(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    // All but S3 put a kind before the name.
    let of_name = if service == "s3" { 1 } else { 2 };
    let mut name = resource.split(['/', ':']).take(of_name);
    !name.any(|part| part.contains(['*', '?']))
}

/// Lists the first actions, and the number of the others.
fn names(actions: &[&(&Action, Beyond)]) -> String {
    let first = actions.iter().take(NAMES_PER_HELP);
    let names: Vec<String> = first.map(|(action, _)| action.to_string()).collect();
    let rest = actions.len().saturating_sub(NAMES_PER_HELP);
    if rest == 0 {
        names.join(", ")
    } else {
        format!("{}, and {rest} more", names.join(", "))
    }
}
