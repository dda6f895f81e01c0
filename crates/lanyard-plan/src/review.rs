//! What people are shown of a plan, and what about it makes it risky whatever policies say.

use std::collections::BTreeSet;

use lanyard_core::plan::Risk;

use crate::difference::Differences;
use crate::secrets::Secrets;
use crate::shown::{Shown, line};
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

/// What was found in a plan.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    shown: Shown,
    sensitive: Vec<String>,
    findings: BTreeSet<Finding>,
    /// How many steps the comparison of texts may still take.
    steps: usize,
}

impl Default for Review {
    fn default() -> Self {
        Self {
            shown: Shown::default(),
            sensitive: Vec::new(),
            findings: BTreeSet::new(),
            steps: COMPARISON_STEPS,
        }
    }
}

impl Review {
    pub(crate) fn line(&mut self, text: &str) {
        self.shown.add(text);
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

    pub(crate) fn find(&mut self, risk: Risk, message: &str) {
        self.findings.insert(Finding {
            risk,
            message: line(message),
            people: 0,
        });
    }

    /// High, and for two people wherever it is.
    pub(crate) fn find_grave(&mut self, message: &str) {
        self.findings.insert(Finding {
            risk: Risk::High,
            message: line(message),
            people: GRAVE_PEOPLE,
        });
    }

    /// The lines of what differs. What is sensitive and changes is named, and high.
    pub(crate) fn differs(&mut self, of: &str, found: &Differences) {
        self.lines(found);
        for path in &found.sensitive {
            if self.shown.has_room(0) {
                let name = if path.is_empty() {
                    crate::shown::whole(of)
                } else {
                    crate::shown::whole(&format!("{of}: {path}"))
                };
                self.find(
                    Risk::High,
                    &format!("{name} is sensitive, and its value is not shown"),
                );
                self.sensitive.push(name);
            }
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
    pub(crate) fn compared(&mut self, path: &str, before: &Tree, after: &Tree) -> Differences {
        let mut found = Differences::new(self.steps);
        found.compare(path, before, after);
        self.steps = found.steps();
        found
    }

    pub(crate) fn compare(&mut self, of: &str, before: &Tree, after: &Tree) {
        let found = self.compared("", before, after);
        self.differs(of, &found);
    }
}

/// Hides in each tree what any of them hides.
pub(crate) fn mask_all<'a>(trees: impl IntoIterator<Item = &'a mut Tree>, secrets: &Secrets) {
    for tree in trees {
        tree.mask(secrets);
    }
}
