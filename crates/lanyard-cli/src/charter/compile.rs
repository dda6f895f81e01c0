//! `lanyard charter compile`: what a charter comes to at the providers.

use std::path::PathBuf;

use clap::Args;
use lanyard_aws_policy::{SESSION_POLICY_LIMIT, session_policy};
use lanyard_charter::requirement::{Requirement, approvers, persons};
use lanyard_charter::{AwsGrant, Charter, Grant};
use lanyard_core::provider::PrepareError;
use lanyard_core::question::{Question, mint_request, permit};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use serde_json::{Value, json};

use super::files;
use super::files::Declared;
use crate::outcome::Outcome;
use crate::{Global, text};

#[derive(Args)]
pub(crate) struct Compile {
    /// The YAML file of the charter.
    file: PathBuf,
    #[command(flatten)]
    declared: Declared,
    /// Only this grant of the charter.
    #[arg(long)]
    grant: Option<Name>,
}

pub(crate) fn run(global: &Global, asked: &Compile) -> Result<(), Outcome> {
    let charters = std::slice::from_ref(&asked.file);
    let world = asked.declared.world_of(global, charters)?;
    let (charter, _) = files::charter(&asked.file, &world)?;
    // Shown is what is given when something is given, whatever day it is.
    let charter = charter.on_a_good_day();
    if let Some(name) = asked
        .grant
        .as_ref()
        .filter(|name| !charter.grants.contains_key(*name))
    {
        return Err(Outcome::usage(format!("there is no grant {name}")));
    }
    let chosen = |grant: &&Grant| asked.grant.as_ref().is_none_or(|name| *name == grant.name);
    let grants = charter.grants.values().filter(chosen);
    let compiled: Vec<Compiled> = grants.map(|grant| Compiled::of(&charter, grant)).collect();
    if global.output.is_document() {
        let documents: Vec<Value> = compiled.iter().map(Compiled::document).collect();
        global.output.document(&json!({"grants": documents}));
    } else {
        compiled.iter().for_each(Compiled::print);
    }
    if compiled.iter().all(|one| one.fits) {
        Ok(())
    } else {
        Err(Outcome::Negative)
    }
}

/// The rights that a grant compiles to.
struct Compiled<'a> {
    grant: &'a Grant,
    environments: Vec<Terms>,
    /// The notes for whoever reads the rights.
    notes: Vec<String>,
    /// The request to the provider; none where the provider cannot be asked.
    asks: Option<Value>,
    fits: bool,
}

/// The approvers in one environment, and the lifetime of a credential there.
struct Terms {
    environment: Name,
    terms: Result<(u64, Option<Requirement>), String>,
}

impl<'a> Compiled<'a> {
    fn of(charter: &Charter, grant: &'a Grant) -> Self {
        let terms = |environment: &Name| {
            let question = Question::usual(charter, grant, environment);
            let permit = permit(charter, &question, Timestamp::from_secs(0));
            let terms = permit.map(|permit| {
                let life = permit.expires().since(Timestamp::from_secs(0));
                (life.as_secs(), permit.requirement().cloned())
            });
            Terms {
                environment: environment.clone(),
                terms: terms.map_err(|denial| denial.to_string()),
            }
        };
        let mut compiled = Self {
            grant,
            environments: grant.environments.iter().map(terms).collect(),
            notes: Vec::new(),
            asks: None,
            fits: true,
        };
        compiled.rights(charter);
        compiled
    }

    fn rights(&mut self, charter: &Charter) {
        // The session policy of AWS depends on the whole request, and not on the grant alone.
        if let Some(rights) = self.grant.rights.get::<AwsGrant>() {
            return self.aws(charter, rights);
        }
        let object = format!("{}-{}", charter.name, self.grant.name);
        self.asks = self.grant.rights.request(&object);
        self.notes.extend(self.grant.rights.notes());
    }

    fn aws(&mut self, charter: &Charter, rights: &AwsGrant) {
        // The rights are the same in every environment; the approvers are not.
        let Some(environment) = self.grant.environments.first() else {
            return;
        };
        let question = Question::usual(charter, self.grant, environment);
        let request = match mint_request(charter, &question, Timestamp::from_secs(0)) {
            Ok(request) => request,
            Err(denial) => return self.notes.push(denial.to_string()),
        };
        match session_policy(rights, &request) {
            Ok(policy) => {
                let size = policy.chars().count();
                self.notes.push(format!(
                    "session policy: {size} of {SESSION_POLICY_LIMIT} characters; the last Deny begins at the lease's end"
                ));
                self.notes.push(format!(
                    "packed: about {} bytes; STS packs policy and tags by a format of its own, and refuses what is over its limit",
                    packed(&policy)
                ));
                self.asks = serde_json::from_str(&policy).ok();
            }
            Err(error) => {
                self.notes.push(error.to_string());
                if matches!(error, PrepareError::TooLarge { .. }) {
                    let way = "split the grant, or shorten its resources: nothing is ever left out to make it fit";
                    self.notes.push(way.to_owned());
                }
                self.fits = false;
            }
        }
    }

    fn print(&self) {
        let grant = self.grant;
        let names: Vec<&str> = grant.environments.iter().map(Name::as_str).collect();
        println!(
            "# grant {}: {} on {}, in {}",
            grant.name,
            grant.role,
            grant.target,
            names.join(", ")
        );
        for Terms { environment, terms } in &self.environments {
            match terms {
                Ok((life, needed)) => {
                    let needed = needed.as_ref().map_or_else(
                        || "nobody approves".to_owned(),
                        |needed| {
                            let from = approvers(&needed.from);
                            format!(
                                "its plan needs the approval of {} of {from}",
                                persons(needed.people)
                            )
                        },
                    );
                    println!("# {environment}: {life} s at most; {needed}");
                }
                Err(denial) => {
                    let denial = text::line(&denial.to_string());
                    println!("# {environment}: {denial}");
                }
            }
        }
        for note in &self.notes {
            println!("# {}", text::line(note));
        }
        if let Some(asks) = &self.asks {
            println!("{}", text::json(format!("{asks:#}")));
        }
        println!();
    }

    fn document(&self) -> Value {
        let grant = self.grant;
        let environments = self
            .environments
            .iter()
            .map(|Terms { environment, terms }| {
                let said = match terms {
                    Ok((life, needed)) => {
                        let needed = needed.as_ref();
                        json!({
                            "seconds": life,
                            "people": needed.map_or(0, |needed| needed.people),
                            "from": needed.map(|needed| &needed.from),
                        })
                    }
                    Err(denial) => json!({"denied": denial}),
                };
                (environment.to_string(), said)
            });
        let asks = self
            .asks
            .as_ref()
            .filter(|_| grant.rights.get::<AwsGrant>().is_some());
        let size = asks.map(|asks| asks.to_string().chars().count());
        json!({
            "grant": grant.name,
            "role": grant.role.to_string(),
            "target": grant.target,
            "provider": grant.rights.provider(),
            "environments": environments.collect::<serde_json::Map<_, _>>(),
            "asks": self.asks,
            "characters": size,
            "fits": self.fits,
            "notes": self.notes,
        })
    }
}

/// Estimates the packed size of a policy by its size under DEFLATE: STS names neither its format
/// nor its limit, and says only of a session that was made how full that was (`PackedPolicySize`).
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn packed(policy: &str) -> usize {
    miniz_oxide::deflate::compress_to_vec(policy.as_bytes(), 9).len()
}
