//! Charters that are Kubernetes objects: which are in force, the status of each, and the webhook's
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_charter::{Charter, PolicyFiles, World};
use lanyard_charter_objects::{
    ConfigMaps, Content, Finding, Gap, Holder, KnownObjects, NamespaceRule, Object, Origin,
    Reason as Why, Source, Verdict, of_charter, owners, policy_keys,
};
use lanyard_core::condition::Reason;
use lanyard_document::Code;
use lanyard_vocabulary::name::Name;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::ObjectsConfig;
use super::fresh::Fresh;
use super::kept::Kept;

/// The fraction of `stale_after` from which operators are told that a namespace cannot be read.
const TOLD_AFTER: u32 = 10;

/// A charter read from an object, or why there is none, with the findings.
type Judged = Result<(Charter, Vec<Finding>), (Why, Vec<Finding>)>;

/// The result of reading one object, for as long as the object does not change.
struct Cached {
    text: Arc<str>,
    /// The policies that it was read with, if it names any.
    policies: Option<ConfigMaps>,
    judged: Judged,
    /// True once the revision is stored on disk.
    is_kept: bool,
}

/// The charter objects, and the rules of their namespaces.
pub(crate) struct Objects {
    pub(super) source: Arc<Source>,
    rules: BTreeMap<Name, NamespaceRule>,
    stale_after: lanyard_vocabulary::time::Ttl,
    cached: Mutex<BTreeMap<String, Cached>>,
    verdicts: watch::Sender<Arc<Vec<Verdict>>>,
    fresh: Mutex<Fresh>,
    /// The names of the charter directory, as last read.
    of_directory: Mutex<BTreeSet<String>>,
}

/// All objects at one moment.
pub(super) struct Read {
    pub(super) charters: BTreeMap<Name, Charter>,
    /// The reasons that keep an object out of force, by object.
    pub(super) problems: BTreeMap<String, Vec<String>>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) all_kept: bool,
    /// The reason why a charter went out of force, by name.
    pub(super) withdrawn: BTreeMap<Name, String>,
    /// Charters that would be in force if they had been read recently.
    pub(super) stale: Vec<Charter>,
    /// True if a namespace has not been read yet. Charters that the ledger has in force may be in
    /// it.
    pub(super) is_waiting: bool,
}

impl Read {
    /// The reading of no objects.
    pub(super) const fn empty() -> Self {
        Self {
            charters: BTreeMap::new(),
            problems: BTreeMap::new(),
            verdicts: Vec::new(),
            all_kept: true,
            withdrawn: BTreeMap::new(),
            stale: Vec::new(),
            is_waiting: false,
        }
    }
}

/// The warnings about the namespaces, which also change with time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    changes: u64,
    stale: BTreeSet<Name>,
    told: Vec<Reason>,
}

impl Seen {
    pub(super) fn reasons(&self) -> &[Reason] {
        &self.told
    }
}

/// The policies that a charter object names.
struct Policies<'a>(&'a ConfigMaps);

impl PolicyFiles for Policies<'_> {
    fn read(&self, paths: &[&str]) -> Result<Vec<Arc<str>>, Vec<(usize, String)>> {
        lanyard_plan::compiled(paths, |path| self.0.text(path))
    }

    fn are_pinned(&self) -> bool {
        true
    }
}

impl Objects {
    pub(super) fn new(config: &ObjectsConfig) -> Self {
        let rules = config.namespaces.iter();
        let rules: BTreeMap<Name, NamespaceRule> = rules
            .map(|rule| (rule.namespace.clone(), rule.clone()))
            .collect();
        let stale_after = config.stale_after;
        Self {
            source: Arc::new(Source::new(
                rules.keys().cloned(),
                stale_after.as_duration(),
            )),
            rules,
            stale_after,
            cached: Mutex::default(),
            verdicts: watch::Sender::default(),
            fresh: Mutex::default(),
            of_directory: Mutex::default(),
        }
    }

    /// The status of each object, whenever one changes.
    pub(super) fn verdicts(&self) -> watch::Receiver<Arc<Vec<Verdict>>> {
        self.verdicts.subscribe()
    }

    /// Publishes the status of objects. A charter that the journal did not accept is not in force.
    pub(super) fn publish(&self, mut verdicts: Vec<Verdict>, is_recorded: bool) {
        if !is_recorded {
            for verdict in verdicts.iter_mut().filter(|it| it.reason == Why::Accepted) {
                verdict.reason = Why::NotRecorded;
                verdict.revision = None;
                verdict.message = "the broker's journal does not take the change".to_owned();
            }
        }
        self.verdicts.send_replace(Arc::new(verdicts));
    }

    /// The warnings about the namespaces at present.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = Seen {
            changes: *self.source.changes().borrow(),
            ..Seen::default()
        };
        self.source.look(|namespace, books, _, gap| {
            if let Some(gap) = gap {
                if gap.is_stale {
                    seen.stale.insert(namespace.clone());
                }
                if gap.for_time >= self.stale_after.as_duration() / TOLD_AFTER {
                    seen.told.push(self.unread(namespace, gap));
                }
            }
            seen.told.extend(deleted(namespace, books));
        });
        seen
    }

    /// Believes the deletions that an operator has seen, and none since.
    pub(super) fn believe_deletions(&self, reasons: &[String]) {
        let mut meant = Vec::new();
        self.source.look(|namespace, books, _, _| {
            let reason = deleted(namespace, books).map(|reason| reason.to_string());
            if reason.is_some_and(|reason| reasons.is_empty() || reasons.contains(&reason)) {
                meant.push(namespace.clone());
            }
        });
        for namespace in meant {
            self.source.confirm_deletions(&namespace);
        }
    }

    fn unread(&self, namespace: &Name, gap: Gap) -> Reason {
        let so_far = if gap.is_stale {
            "they are out of force".to_owned()
        } else {
            format!("what is in force of them stays so for {}", self.stale_after)
        };
        Reason::ChartersUnread {
            namespace: namespace.to_string(),
            why: format!("{}; {so_far}", gap.why),
        }
    }

    /// Reads every object that changed.
    pub(super) fn read(&self, directory: &BTreeSet<String>, kept: &Kept) -> Read {
        self.of_directory.lock().clone_from(directory);
        let mut read = Read::empty();
        let mut uids = BTreeSet::new();
        let owners = self.owners(directory, None);
        // What is read is judged without the lock that whoever reads the API server waits for.
        let mut all = Vec::new();
        self.source.look(|namespace, books, policies, gap| {
            let objects: Vec<Object> = books.objects().map(without_status).collect();
            let was_read = books.was_read();
            all.push((
                namespace.clone(),
                objects,
                policies.clone(),
                (was_read, gap),
            ));
        });
        for (namespace, objects, policies, (was_read, gap)) in all {
            let Some(rule) = self.rules.get(&namespace) else {
                continue;
            };
            read.is_waiting |= !was_read && gap.as_ref().is_some_and(|gap| !gap.is_stale);
            for object in &objects {
                uids.insert(object.origin.uid.clone());
                self.take(&mut read, (object, rule), (&policies, kept), &owners);
            }
            if let Some(gap) = gap.filter(|gap| gap.is_stale) {
                self.drop_stale(&mut read, (&namespace, &objects), &gap);
            }
        }
        self.cached.lock().retain(|uid, _| uids.contains(uid));
        read
    }

    /// Reads one object, or says why it is not in force.
    fn take(
        &self,
        read: &mut Read,
        (object, rule): (&Object, &NamespaceRule),
        (policies, kept): (&ConfigMaps, &Kept),
        owners: &BTreeMap<String, Holder>,
    ) {
        let name = &object.origin.name;
        let judged = match taken(object, owners) {
            Some(finding) if rule.admits(name) => Err((Why::NameTaken, vec![finding])),
            Some(_) | None => self.judged(object, rule, policies, kept),
        };
        let mut verdict = Verdict {
            origin: object.origin.clone(),
            generation: object.generation,
            reason: Why::Accepted,
            message: "tasks can be opened under this charter".to_owned(),
            revision: None,
            findings: Vec::new(),
        };
        match judged {
            Ok((charter, warnings)) => {
                verdict.revision = Some(charter.revision.clone());
                verdict.findings = warnings;
                read.charters.insert(charter.name.clone(), charter);
            }
            Err((why, findings)) => {
                let of = shown(&object.origin);
                let errors = findings.iter().filter(|finding| finding.is_error());
                let mut lines: Vec<String> =
                    errors.map(|finding| format!("{of}: {finding}")).collect();
                let message = match why {
                    Why::NotRecorded => Some("the revision cannot be kept on the broker's disk"),
                    Why::TooManyChanges => Some(
                        "the charters of this namespace have had too many new revisions: one a minute is taken",
                    ),
                    Why::Accepted
                    | Why::Refused
                    | Why::BeyondBounds
                    | Why::NameTaken
                    | Why::PolicyUnusable => None,
                };
                if let Some(message) = message {
                    read.all_kept = false;
                    message.clone_into(&mut verdict.message);
                    lines.push(format!("{of}: {message}"));
                }
                if let Ok(name) = name.parse::<Name>() {
                    let first = lines.first().cloned().unwrap_or_default();
                    read.withdrawn.entry(name).or_insert(first);
                }
                read.problems.insert(of, lines);
                (verdict.reason, verdict.findings) = (why, findings);
            }
        }
        read.verdicts.push(verdict);
    }

    /// Takes the charters of a namespace out of force that has been unreadable for too long. Their
    /// names stay taken.
    fn drop_stale(&self, read: &mut Read, (namespace, objects): (&Name, &[Object]), gap: &Gap) {
        let why = format!(
            "charter objects of namespace `{namespace}` have not been read for {}: {}",
            self.stale_after, gap.why
        );
        for object in objects {
            let Ok(name) = object.origin.name.parse::<Name>() else {
                continue;
            };
            let is_own = |verdict: &Verdict| verdict.origin == object.origin;
            let verdicts = read.verdicts.iter();
            let mut own = verdicts.filter(|verdict| is_own(verdict));
            if own.any(|verdict| verdict.reason == Why::Accepted) {
                read.stale.extend(read.charters.remove(&name));
                read.withdrawn.insert(name, why.clone());
                read.problems.insert(
                    shown(&object.origin),
                    vec![format!("{}: {why}", shown(&object.origin))],
                );
            }
            // What is written there now cannot be written anew, and is right again when it can.
            read.verdicts.retain(|verdict| !is_own(verdict));
        }
    }

    fn owners(
        &self,
        directory: &BTreeSet<String>,
        besides: Option<&Object>,
    ) -> BTreeMap<String, Holder> {
        let mut objects: Vec<Object> = besides.into_iter().cloned().collect();
        self.source.look(|namespace, books, _, _| {
            let Some(rule) = self.rules.get(namespace) else {
                return;
            };
            let others = books.objects().filter(|object| {
                let is_candidate = besides.is_some_and(|it| it.origin.uid == object.origin.uid);
                !is_candidate && rule.admits(&object.origin.name)
            });
            objects.extend(others.map(without_status));
        });
        owners(directory, &objects)
    }

    fn judged(
        &self,
        object: &Object,
        rule: &NamespaceRule,
        policies: &ConfigMaps,
        kept: &Kept,
    ) -> Judged {
        let text = match &object.content {
            Content::Text(text) => text,
            Content::Unreadable(finding) => return Err((Why::Refused, vec![finding.clone()])),
        };
        let uid = &object.origin.uid;
        let mut cached = self.cached.lock();
        let policies_of = (!policy_keys(text).is_empty()).then_some(policies);
        if let Some(known) = cached.get(uid)
            && known.text == *text
            && (known.is_kept || known.judged.is_err())
            && known.policies.as_ref() == policies_of
        {
            return known.judged.clone();
        }
        let mut judged = judge(text, rule, policies, &kept.world);
        let mut is_kept = false;
        if let Ok((charter, _)) = &judged {
            let is_new = !kept.knows(charter);
            if is_new && !self.fresh.lock().take(&rule.namespace, Instant::now()) {
                return Err((Why::TooManyChanges, Vec::new()));
            }
            match kept.keep(text, charter) {
                Ok(()) => is_kept = true,
                Err(error) => {
                    let of = shown(&object.origin);
                    tracing::error!(%error, of, "the revision of a charter cannot be kept");
                    judged = Err((Why::NotRecorded, Vec::new()));
                }
            }
        }
        let known = Cached {
            text: Arc::clone(text),
            policies: policies_of.cloned(),
            judged: judged.clone(),
            is_kept,
        };
        // What could not be kept is tried again.
        if !matches!(judged, Err((Why::NotRecorded, _))) {
            cached.insert(uid.clone(), known);
        }
        judged
    }

    /// Reviews an object before it is stored, and returns warnings.
    ///
    /// # Errors
    /// The findings that refuse the object. A missing policy may come later and refuses nothing.
    pub(super) fn reviewed(
        &self,
        object: &Object,
        world: &World,
    ) -> Result<Vec<Finding>, Vec<Finding>> {
        let namespace = &object.origin.namespace;
        let Some(rule) = self.rules.get(namespace.as_str()) else {
            return Err(vec![Finding {
                code: Code::BeyondBounds,
                path: "metadata.namespace".to_owned(),
                message: format!("the broker reads no charters in namespace `{namespace}`"),
            }]);
        };
        let mut known = ConfigMaps::default();
        self.source.look(|of, _, policies, _| {
            if of.as_str() == namespace {
                known = policies.clone();
            }
        });
        let judged = match &object.content {
            Content::Text(text) => judge(text, rule, &known, world)
                .map(|(_, warnings)| warnings)
                .map_err(|(_, findings)| findings),
            Content::Unreadable(finding) => Err(vec![finding.clone()]),
        };
        let directory = self.of_directory.lock().clone();
        let taken = taken(object, &self.owners(&directory, Some(object)));
        match (judged, taken.filter(|_| rule.admits(&object.origin.name))) {
            (Ok(warnings), None) => Ok(warnings),
            (Ok(_), Some(taken)) => Err(vec![taken]),
            (Err(findings), None) if findings.iter().all(is_of_policy) => Ok(findings),
            (Err(mut findings), taken) => {
                findings.extend(taken);
                Err(findings)
            }
        }
    }
}

/// The objects of a namespace whose deletion an operator has to confirm.
fn deleted(namespace: &Name, books: &KnownObjects) -> Option<Reason> {
    let mut held: Vec<&str> = books.held().collect();
    held.sort_unstable();
    (!held.is_empty()).then(|| Reason::ChartersDeleted {
        namespace: namespace.to_string(),
        charters: held.join(", "),
    })
}

fn is_of_policy(finding: &Finding) -> bool {
    finding.code == Code::Policy || !finding.is_error()
}

fn judge(text: &str, rule: &NamespaceRule, policies: &ConfigMaps, world: &World) -> Judged {
    let read = of_charter(text, world, &Policies(policies));
    match read {
        Ok((charter, warnings)) => match rule.beyond(&charter) {
            beyond if beyond.is_empty() => Ok((charter, warnings)),
            beyond => Err((Why::BeyondBounds, beyond)),
        },
        Err(findings) if findings.iter().all(is_of_policy) => Err((Why::PolicyUnusable, findings)),
        Err(findings) => Err((Why::Refused, findings)),
    }
}

/// The owner of the object's name, if another object or the directory has it.
fn taken(object: &Object, owners: &BTreeMap<String, Holder>) -> Option<Finding> {
    let who = match owners.get(&object.origin.name) {
        Some(Holder::Object(origin)) if origin.uid != object.origin.uid => {
            format!("the older object `{}`", shown(origin))
        }
        Some(Holder::Directory) => "a file of the charter directory".to_owned(),
        Some(Holder::Object(_)) | None => return None,
    };
    Some(Finding {
        code: Code::NameTaken,
        path: "metadata.name".to_owned(),
        message: format!("the name `{}` is that of {who}", object.origin.name),
    })
}

fn without_status(object: &Object) -> Object {
    Object {
        status: serde_json::Value::Null,
        ..object.clone()
    }
}

fn shown(origin: &Origin) -> String {
    format!("{}/{}", origin.namespace, origin.name)
}
