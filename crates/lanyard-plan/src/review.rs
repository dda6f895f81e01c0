//! The view of a plan for people, and the risks of its form, whatever policies say.
//!
//! Words of a plan enter the view in two ways only: as a [`Masked`] value, or as a [`Piece`] of a
//! sentence, which is masked here.

use std::collections::BTreeSet;
use std::fmt;

use lanyard_charter::plan::Risk;
use lanyard_charter::reach::Sensitive;

use crate::difference::Differences;
use crate::rights::{self, Right};
use crate::secrets::{Masked, Secrets};
use crate::shown::{MAX_SHOWN_BYTES, Shown, line, shown, whole};
use crate::texts::COMPARISON_STEPS;
use crate::tree::Tree;

/// Smallest number of approvers of a grave change.
const GRAVE_PEOPLE: u32 = 2;
/// Longest name in a plan, as shown. A name is repeated in a line for each statement about the
/// named object.
///
/// # Limit
/// - for: a name in a plan: an address, a kind, a provider
/// - unit: bytes
/// - beyond: the plan is refused when it is submitted
/// - test: `a21_a_long_name_is_not_written_for_each_of_very_many`
const MAX_NAME_BYTES: usize = 4096;

/// A risk of the plan's form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) risk: Risk,
    pub(crate) message: String,
    /// Smallest number of people who must approve.
    pub(crate) people: u32,
}

/// A part of a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Lanyard's own words, which masking leaves alone.
    Own(&'static str),
    /// Words of the plan, which are masked.
    Plan(&'a str),
    Named(&'a Name),
}

/// A name without secrets and without control characters. Only a [`Review`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    text: String,
    /// Shortened form for messages, of which there may be many.
    in_messages: String,
}

impl Name {
    fn of(text: String) -> Self {
        let in_messages = line(&text);
        Self { text, in_messages }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The view, the findings and the sensitive values of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    secrets: Secrets,
    shown: Shown,
    sensitive: Sensitive,
    findings: BTreeSet<Finding>,
    /// Steps that are left for comparing texts.
    steps: usize,
    has_long_name: bool,
}

impl Review {
    /// Starts the review of a plan that contains `secrets`.
    pub(crate) fn of(secrets: Secrets) -> Self {
        Self {
            secrets,
            shown: Shown::default(),
            sensitive: Sensitive::default(),
            findings: BTreeSet::new(),
            steps: COMPARISON_STEPS,
            has_long_name: false,
        }
    }

    pub(crate) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn mask(&self, tree: Tree) -> Masked {
        self.secrets.mask(tree)
    }

    pub(crate) fn name(&mut self, pieces: &[Piece<'_>]) -> Name {
        Name::of(self.joined(pieces, |name| &name.text))
    }

    pub(crate) fn line(&mut self, pieces: &[Piece<'_>]) {
        let line = self.joined(pieces, |name| &name.text);
        self.shown.add(&line);
    }

    /// Joins the pieces. Returns nothing once the plan is refused, since the result would be
    /// dropped.
    fn joined(&mut self, pieces: &[Piece<'_>], named: impl Fn(&Name) -> &str) -> String {
        let mut joined = String::new();
        for piece in pieces {
            if self.is_full() {
                return String::new();
            }
            match piece {
                Piece::Own(words) => joined.push_str(words),
                Piece::Named(name) => joined.push_str(named(name)),
                Piece::Plan(words) => {
                    let words = whole(&self.secrets.name(words));
                    if words.len() > MAX_NAME_BYTES {
                        self.has_long_name = true;
                        self.shown.close();
                    }
                    joined.push_str(&words);
                }
            }
        }
        joined
    }

    /// Adds lines of the plan. Only text that repeats a known secret is masked.
    pub(crate) fn lines_of_plan(&mut self, text: &str) {
        let masked = self.secrets.masked(text);
        self.shown.add(&shown(masked.as_deref().unwrap_or(text)));
    }

    pub(crate) fn text(&self) -> &str {
        self.shown.text()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.shown.is_full()
    }

    /// Returns the reason why the view cannot be read by people.
    pub(crate) fn refused(&self) -> Option<String> {
        if self.has_long_name {
            return Some(format!(
                "it has a name of more than {MAX_NAME_BYTES} bytes, which would stand in very many lines; shorten the name"
            ));
        }
        let most = MAX_SHOWN_BYTES / 1024;
        self.is_full().then(|| format!(
            "its approvers would have to read more than {most} KiB, and nothing is left out of what they read; split it"
        ))
    }

    /// Returns the paths at which sensitive values change.
    pub(crate) const fn sensitive(&self) -> &Sensitive {
        &self.sensitive
    }

    pub(crate) const fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }

    pub(crate) fn find(&mut self, risk: Risk, message: &[Piece<'_>]) {
        self.note(risk, 0, message);
    }

    /// Adds a high risk that needs two approvers in any environment.
    pub(crate) fn find_grave(&mut self, message: &[Piece<'_>]) {
        self.note(Risk::High, GRAVE_PEOPLE, message);
    }

    fn note(&mut self, risk: Risk, people: u32, message: &[Piece<'_>]) {
        let message = self.joined(message, |name| &name.in_messages);
        if self.is_full() {
            return;
        }
        self.findings.insert(Finding {
            risk,
            message: line(&message),
            people,
        });
    }

    /// Adds the lines of a difference. A sensitive value that changes is named, and counts as a
    /// high risk.
    pub(crate) fn differs(&mut self, of: &Name, found: &Differences) {
        self.lines(found);
        for path in &found.sensitive {
            self.hides(of, path);
        }
    }

    fn hides(&mut self, of: &Name, path: &str) {
        if self.shown.has_room(0) {
            let at = |of: &str| match path {
                "" => of.to_owned(),
                path => whole(&format!("{of}: {path}")),
            };
            let name = at(&of.in_messages);
            self.findings.insert(Finding {
                risk: Risk::High,
                message: line(&format!("{name} is sensitive, and its value is not shown")),
                people: 0,
            });
            self.sensitive.note(|| at(&of.text));
        }
    }

    /// Adds the lines of a difference that the plan did not cause, without findings.
    pub(crate) fn lines(&mut self, found: &Differences) {
        for line in found.lines() {
            self.shown.add(line);
        }
        if found.is_full() {
            self.shown.close();
        }
    }

    /// Compares two masked values.
    pub(crate) fn compared(
        &mut self,
        path: &'static str,
        before: &Masked,
        after: &Masked,
    ) -> Differences {
        let mut found = Differences::new(self.steps);
        if self.is_full() {
            return found;
        }
        found.compare(path, before.tree(), after.tree());
        self.steps = found.steps();
        found
    }

    /// Renders a value that is new as a whole.
    pub(crate) fn comes(&mut self, path: &'static str, value: &Masked) -> Differences {
        self.compared(path, Masked::NOTHING, value)
    }

    /// Adds findings for changed rights: who may do what, and who can reach what.
    pub(crate) fn rate(&mut self, of: &Name, before: &Tree, after: &Tree, is_new: bool) {
        if self.is_full() {
            return;
        }
        for (path, says) in rights::changed(before, after, &self.secrets) {
            let path = Name::of(whole(&path));
            let message = [
                Piece::Named(of),
                Piece::Own(": "),
                Piece::Named(&path),
                Piece::Own(" "),
                Piece::Own(says.in_words()),
            ];
            match says {
                Right::Identity if is_new => self.find(Risk::Medium, &message),
                Right::Program | Right::Unread => self.find(Risk::High, &message),
                Right::Identity | Right::Permission | Right::Network | Right::Host => {
                    self.find_grave(&message)
                }
            }
        }
    }
}
