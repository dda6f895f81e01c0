//! A plan as its approvers read it: what becomes of each resource, attribute by attribute, without what is sensitive.

use super::{Effect, ResourceChange, TerraformPlan};
use crate::compare::{Sides, lines};
use crate::shown::line;

impl TerraformPlan {
    /// In words. Sensitive values are masked as Terraform itself masks them.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let effect = change.effect();
            if effect != Effect::Nothing {
                resource(&mut text, change, effect);
            }
        }
        text
    }
}

fn resource(text: &mut String, change: &ResourceChange, effect: Effect) {
    let (sign, word) = match effect {
        Effect::Nothing => (" ", "does not change"),
        Effect::Create => ("+", "is created"),
        Effect::Update => ("~", "is updated in place"),
        Effect::Replace => ("-/+", "is destroyed and created anew"),
        Effect::Destroy => ("-", "is destroyed"),
    };
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add(format!("{sign} {} {word}", line(&change.address)));
    let parts = &change.change;
    let mut found = Vec::new();
    let sides = Sides {
        before: Some(&parts.before),
        after: Some(&parts.after),
        unknown: Some(&parts.after_unknown),
        hidden: [Some(&parts.before_sensitive), Some(&parts.after_sensitive)],
    };
    sides.compare("", 0, &mut found);
    if effect == Effect::Destroy {
        return;
    }
    lines(&found).into_iter().for_each(add);
}
