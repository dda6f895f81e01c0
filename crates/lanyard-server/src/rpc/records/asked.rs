//! What is asked of the records: in a query, and of a tail.

use lanyard_core::command::Command;
use lanyard_core::references::references;
use lanyard_document::near_names;
use lanyard_engine::Engine;
use lanyard_ledger::history::{History, MAX_RECORDS_PER_ANSWER, Query};
use lanyard_proto::v1;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{is_id, miswritten};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;
use tonic::Status;

use super::filters::{Filters, OUTCOMES, may_name};
use super::{Lookup, at, follow, query};
use crate::fields::parsed;
use crate::refusal;

/// Records of one answer, where nothing else was asked for.
const RECORDS_PER_PAGE: usize = 100;
/// So many near names are told of a kind that there is not, or of a name that nothing has.
const NEAR_NAMES: usize = 3;

/// The names that records are picked by.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct AskedNames {
    mentions: Option<String>,
    filters: Filters,
}

/// The terms of a query.
pub(in crate::rpc) struct AskedRecords {
    names: AskedNames,
    indices: Vec<u64>,
    follow: bool,
    from: u64,
    most: usize,
}

impl AskedRecords {
    pub(in crate::rpc) fn of(request: v1::QueryRecordsRequest) -> Result<Self, Status> {
        let size = usize::try_from(request.page_size).unwrap_or(0);
        if request.indices.len() > MAX_RECORDS_PER_ANSWER {
            let why = format!("names more than {MAX_RECORDS_PER_ANSWER} records");
            return Err(refusal::invalid("indices", why).into());
        }
        let names = AskedNames::of(
            request.mentions,
            Filters {
                since: request.since.map(|at| moment("since", at)).transpose()?,
                until: request.until.map(|at| moment("until", at)).transpose()?,
                who: given(request.who),
                charter: given(request.charter),
                environment: given(request.environment),
                ticket: given(request.ticket),
                outcome: given(request.outcome),
                kind: given(request.kind),
                bare: request.bare,
            },
        )?;
        let unfollowed = names.mentions.as_deref();
        let unfollowed = unfollowed.filter(|asked| request.follow && !is_id(asked));
        if let Some(asked) = unfollowed {
            let why = format!(
                "`{}` is no id: only an id can be followed",
                asked.escape_debug()
            );
            return Err(refusal::invalid("mentions", why).into());
        }
        Ok(Self {
            follow: request.follow && names.mentions.is_some(),
            names,
            indices: request.indices,
            from: match given(request.page_token) {
                Some(token) => parsed("page_token", &token)?,
                None => 0,
            },
            most: if size == 0 {
                RECORDS_PER_PAGE
            } else {
                size.min(MAX_RECORDS_PER_ANSWER)
            },
        })
    }

    /// # Errors
    /// The kind of record is none.
    pub(in crate::rpc) fn found(
        &self,
        engine: &Engine,
        history: &History,
    ) -> Result<v1::QueryRecordsResponse, Status> {
        self.names.is_kind_known(history)?;
        let AskedNames { mentions, filters } = &self.names;
        let mut lookup = Lookup::new(engine, history);
        let mut answer = v1::QueryRecordsResponse::default();
        if !self.indices.is_empty() {
            answer.records = at(&mut lookup, &self.indices, filters);
            return Ok(answer);
        }
        if let Some(id) = mentions.as_deref().filter(|_| self.follow) {
            let (records, is_all) = follow(&mut lookup, id, filters);
            (answer.records, answer.truncated) = (records, !is_all);
        } else {
            let page = (self.from, self.most);
            let (records, next) = query(&mut lookup, mentions.as_deref(), filters, page);
            answer.records = records;
            answer.next_page_token = next.map_or_else(String::new, |next| next.to_string());
        }
        // What nobody has heard of is in no later page either.
        if answer.records.is_empty() && self.from == 0 {
            answer.unknown_names = self.names.unknown(engine, history);
        }
        Ok(answer)
    }
}

impl AskedNames {
    fn of(mentions: String, filters: Filters) -> Result<Self, Status> {
        let outcome = filters.outcome.as_deref();
        if let Some(asked) = outcome.filter(|asked| !OUTCOMES.contains(asked)) {
            let known = OUTCOMES.join(", ");
            let why = format!("`{}` is none of {known}", asked.escape_debug());
            return Err(refusal::invalid("outcome", why).into());
        }
        // An id is printed in capitals, and read aloud in any case.
        let mentions = given(mentions).map(|asked| match is_id(&asked) {
            true => asked.to_ascii_uppercase(),
            false => asked,
        });
        Ok(Self { mentions, filters })
    }

    pub(in crate::rpc) fn of_tail(request: v1::TailRecordsRequest) -> Result<Self, Status> {
        let filters = Filters {
            since: request.since.map(|at| moment("since", at)).transpose()?,
            until: None,
            who: given(request.who),
            charter: given(request.charter),
            environment: given(request.environment),
            ticket: given(request.ticket),
            outcome: given(request.outcome),
            kind: given(request.kind),
            bare: false,
        };
        Self::of(request.mentions, filters)
    }

    /// A kind that neither this version nor the journal has is a slip.
    ///
    /// # Errors
    /// The kind, with near ones or all that there are.
    fn is_kind_known(&self, history: &History) -> Result<(), Status> {
        let Some(asked) = self.filters.kind.as_deref() else {
            return Ok(());
        };
        let is_in_journal = || {
            let (found, _) = history.query(&Query {
                kind: Some(asked.to_owned()),
                limit: 1,
                ..Query::default()
            });
            !found.is_empty()
        };
        if Command::KINDS.contains(&asked) || is_in_journal() {
            return Ok(());
        }
        let near = near_names(asked, Command::KINDS, NEAR_NAMES);
        let hint = match near.as_slice() {
            [] => format!("there are {}", Command::KINDS.join(", ")),
            near => format!("did you mean `{}`?", near.join("` or `")),
        };
        let why = format!("no kind of record is `{}`; {hint}", asked.escape_debug());
        Err(refusal::invalid("kind", why).into())
    }

    /// The record, where it is asked for.
    pub(in crate::rpc) fn record(
        &self,
        lookup: &mut Lookup<'_>,
        (index, bytes): (u64, &[u8]),
    ) -> Option<v1::AuditRecord> {
        let names = |asked: &String| match lanyard_records::decode(bytes) {
            Ok(record) => references(&record.command).contains(asked),
            Err(_) => may_name(bytes, asked),
        };
        if !self.mentions.as_ref().is_none_or(names) {
            return None;
        }
        lookup.asked((index, bytes), &self.filters)
    }

    /// Tells if every record is asked for.
    pub(in crate::rpc) fn is_everything(&self) -> bool {
        self.mentions.is_none() && self.filters == Filters::default()
    }

    /// Finds where a tail begins, by the time that is asked for, and which names nothing has yet.
    ///
    /// # Errors
    /// The kind of record is none.
    pub(in crate::rpc) fn before(
        &self,
        engine: &Engine,
        history: &History,
    ) -> Result<(Option<u64>, Vec<String>), Status> {
        self.is_kind_known(history)?;
        let first = self.filters.since.and_then(|since| {
            let (found, _) = history.query(&Query {
                since: Some(since),
                limit: 1,
                ..Query::default()
            });
            found.first().map(|(index, _)| *index)
        });
        Ok((first, self.unknown(engine, history)))
    }

    /// Says why nothing is found, where that is for a name or an id that nothing has.
    fn unknown(&self, engine: &Engine, history: &History) -> Vec<String> {
        let is_mentioned = |name: &str| {
            let (found, _) = history.query(&Query {
                mentions: Some(name.to_owned()),
                limit: 1,
                ..Query::default()
            });
            !found.is_empty()
        };
        let unknown = |scope: Scope| {
            let radius = engine.scopes().blast_radius(&scope, RoleFilter::Both, None);
            radius.unknown_name.map(|why| (why, radius.near))
        };
        let mut all = Vec::new();
        let filters = &self.filters;
        for (name, of) in [
            (&filters.charter, Scope::Charter as fn(Name) -> Scope),
            (&filters.environment, Scope::Environment),
        ] {
            let asked = name.as_deref().filter(|name| !is_mentioned(name));
            let Some(asked) = asked else { continue };
            match asked.parse::<Name>() {
                Ok(name) => all.extend(unknown(of(name)).map(|(why, _)| why)),
                Err(error) => all.push(error.to_string()),
            }
        }
        let Some(asked) = self.mentions.as_deref().filter(|name| !is_mentioned(name)) else {
            return all;
        };
        if let Some(error) = miswritten(asked) {
            all.push(error.to_string());
            return all;
        }
        if is_id(asked) {
            all.push(format!("no record names `{asked}`"));
            return all;
        }
        let mut scopes = vec![Scope::Agent(AgentName(asked.to_owned()))];
        if let Ok(name) = asked.parse::<Name>() {
            scopes.extend([
                Scope::Charter(name.clone()),
                Scope::Environment(name.clone()),
                Scope::Target(name),
            ]);
        }
        let mut near = Vec::new();
        for scope in scopes {
            // What is configured, and was never used, is no slip.
            let Some((_, of_scope)) = unknown(scope) else {
                return all;
            };
            near.extend(
                of_scope
                    .into_iter()
                    .filter(|name| !near.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        near.truncate(NEAR_NAMES);
        let hint = match near.is_empty() {
            true => String::new(),
            false => format!("; did you mean `{}`?", near.join("` or `")),
        };
        all.push(format!("no record names `{}`{hint}", asked.escape_debug()));
        all
    }
}

fn given(text: String) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn moment(field: &str, at: prost_types::Timestamp) -> Result<Timestamp, Status> {
    let millis = u64::try_from(at.seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .and_then(|millis| millis.checked_add(u64::try_from(at.nanos / 1_000_000).ok()?));
    let millis = millis.ok_or_else(|| refusal::invalid(field, "is before 1970, or no time"))?;
    Ok(Timestamp::from_millis(millis))
}
