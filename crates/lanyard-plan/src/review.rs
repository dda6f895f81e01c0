//! What people are shown of a plan, and what about it makes it risky whatever policies say.
//!
//! Words of a plan get here in two ways alone: as a [`Masked`] value, or as a [`Piece`] of a sentence, which is masked here.

use std::collections::BTreeSet;
use std::fmt;

use lanyard_core::plan::Risk;

use crate::difference::Differences;
use crate::rights::{self, Says};
use crate::secrets::{Masked, Secrets};
use crate::shown::{Shown, line, shown, whole};
use crate::texts::COMPARISON_STEPS;
use crate::tree::Tree;

/// How many people approve what is grave, at least.
const GRAVE_PEOPLE: u32 = 2;

/// What makes a plan risky, by its form alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) risk: Risk,
    pub(crate) message: String,
    /// At least so many people have to approve.
    pub(crate) people: u32,
}

/// A piece of a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Piece<'a> {
    /// Lanyard's own words, which no plan changes, and no secret hides.
    Own(&'static str),
    /// Words of the plan.
    Plan(&'a str),
    Named(&'a Name),
}

/// What something is called, without secrets, and without what acts on a terminal. Only a [`Review`] makes one.
#[derive(Debug, Clone)]
pub(crate) struct Name(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was found in a plan.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    secrets: Secrets,
    shown: Shown,
    sensitive: Vec<String>,
    findings: BTreeSet<Finding>,
    /// How many steps the comparison of texts may still take.
    steps: usize,
}

impl Review {
    /// Nothing yet, of a plan with these secrets.
    pub(crate) fn of(secrets: Secrets) -> Self {
        Self {
            secrets,
            shown: Shown::default(),
            sensitive: Vec::new(),
            findings: BTreeSet::new(),
            steps: COMPARISON_STEPS,
        }
    }

    pub(crate) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn mask(&self, tree: Tree) -> Masked {
        self.secrets.mask(tree)
    }

    pub(crate) fn name(&self, pieces: &[Piece<'_>]) -> Name {
        let each = pieces.iter().map(|piece| match piece {
            Piece::Own(words) => (*words).to_owned(),
            Piece::Plan(words) => whole(&self.secrets.name(words)),
            Piece::Named(name) => name.0.clone(),
        });
        Name(each.collect())
    }

    pub(crate) fn line(&mut self, pieces: &[Piece<'_>]) {
        let Name(line) = self.name(pieces);
        self.shown.add(&line);
    }

    /// Lines of the plan as they are, in which nothing is known to be secret but what repeats it.
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

    /// Where sensitive values change.
    pub(crate) fn sensitive(&self) -> &[String] {
        &self.sensitive
    }

    pub(crate) const fn findings(&self) -> &BTreeSet<Finding> {
        &self.findings
    }

    pub(crate) fn find(&mut self, risk: Risk, message: &[Piece<'_>]) {
        self.note(risk, 0, message);
    }

    /// High, and for two people wherever it is.
    pub(crate) fn find_grave(&mut self, message: &[Piece<'_>]) {
        self.note(Risk::High, GRAVE_PEOPLE, message);
    }

    fn note(&mut self, risk: Risk, people: u32, message: &[Piece<'_>]) {
        let Name(message) = self.name(message);
        self.findings.insert(Finding {
            risk,
            message: line(&message),
            people,
        });
    }

    /// The lines of what differs. What is sensitive and changes is named, and high.
    pub(crate) fn differs(&mut self, of: &Name, found: &Differences) {
        self.lines(found);
        for path in &found.sensitive {
            self.hides(of, path);
        }
    }

    fn hides(&mut self, of: &Name, path: &str) {
        if self.shown.has_room(0) {
            let name = if path.is_empty() {
                of.0.clone()
            } else {
                whole(&format!("{of}: {path}"))
            };
            self.findings.insert(Finding {
                risk: Risk::High,
                message: line(&format!("{name} is sensitive, and its value is not shown")),
                people: 0,
            });
            self.sensitive.push(name);
        }
    }

    /// The lines of what differs, of which the plan is not the cause.
    pub(crate) fn lines(&mut self, found: &Differences) {
        for line in found.lines() {
            self.shown.add(line);
        }
        if found.is_full() {
            self.shown.close();
        }
    }

    /// What differs between two values.
    pub(crate) fn compared(
        &mut self,
        path: &'static str,
        before: &Masked,
        after: &Masked,
    ) -> Differences {
        let mut found = Differences::new(self.steps);
        found.compare(path, before.tree(), after.tree());
        self.steps = found.steps();
        found
    }

    /// All of a value that comes.
    pub(crate) fn comes(&mut self, path: &'static str, value: &Masked) -> Differences {
        self.compared(path, Masked::NOTHING, value)
    }

    /// Who may do what, and who reaches what, by what differs between two values.
    pub(crate) fn rate(&mut self, of: &Name, before: &Tree, after: &Tree, is_new: bool) {
        for (path, says) in rights::changed(before, after, &self.secrets) {
            let path = Name(whole(&path));
            let message = [
                Piece::Named(of),
                Piece::Own(": "),
                Piece::Named(&path),
                Piece::Own(" "),
                Piece::Own(says.in_words()),
            ];
            match says {
                Says::As if is_new => self.find(Risk::Medium, &message),
                Says::Runs | Says::Unread => self.find(Risk::High, &message),
                Says::As | Says::Who | Says::Reach | Says::Host => self.find_grave(&message),
            }
        }
    }
}
