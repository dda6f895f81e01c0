//! A plan as its approvers read it: what becomes of each resource, attribute by attribute, without what is sensitive.

use lanyard_core::plan::Risk;
use serde_json::Value;

use super::{Change, Effect, ResourceChange, TerraformPlan, parts};
use crate::difference::Differences;
use crate::review::{Review, mask_all};
use crate::rights::{self, Says};
use crate::secrets::Secrets;
use crate::shown::whole;
use crate::tree::{Marks, Tree};

/// A resource with its values on both sides.
struct Resource<'a> {
    about: &'a ResourceChange,
    before: Tree,
    after: Tree,
}

impl<'a> Resource<'a> {
    fn of(about: &'a ResourceChange) -> Self {
        let (mut before, mut after) = sides(&about.change);
        if about.kind.starts_with("kubernetes_secret") {
            before.hide_secret_objects(true);
            after.hide_secret_objects(true);
        }
        Self {
            about,
            before,
            after,
        }
    }
}

/// The two sides of a change, with their marks.
pub(super) fn sides(change: &Change) -> (Tree, Tree) {
    let before = Marks {
        sensitive: Some(&change.before_sensitive),
        unknown: None,
    };
    let after = Marks {
        sensitive: Some(&change.after_sensitive),
        unknown: Some(&change.after_unknown),
    };
    (
        Tree::of(&change.before, before),
        Tree::of(&change.after, after),
    )
}

impl TerraformPlan {
    /// In words, and how risky that is. Sensitive values are masked as Terraform itself masks them, and wherever else they stand.
    pub(crate) fn review(&self) -> Review {
        let outline = &self.outline;
        let mut changes = resources(&outline.resource_changes);
        let mut drift = resources(&outline.resource_drift);
        let deferred = outline.deferred_changes.iter();
        let mut deferred: Vec<_> = deferred
            .map(|it| (it.reason.as_str(), Resource::of(&it.resource_change)))
            .collect();
        let outputs = outline.output_changes.iter();
        let mut outputs: Vec<_> = outputs
            .map(|(name, change)| (name, change, sides(change)))
            .collect();
        let mut others = parts::Others::of(outline);

        let mut trees: Vec<&mut Tree> = Vec::new();
        for resource in changes.iter_mut().chain(&mut drift) {
            trees.extend([&mut resource.before, &mut resource.after]);
        }
        for (_, resource) in &mut deferred {
            trees.extend([&mut resource.before, &mut resource.after]);
        }
        for (.., (before, after)) in &mut outputs {
            trees.extend([before, after]);
        }
        trees.extend(others.trees());
        let state = parts::marked_values(outline);
        let hidden = trees.iter().map(|tree| &**tree).chain(&state);
        let secrets = Secrets::of(hidden);
        mask_all(trees, &secrets);

        let mut review = Review::default();
        others.first(&mut review);
        for resource in &changes {
            if resource.about.is_applied() {
                show(&mut review, resource);
            }
        }
        for (name, change, (before, after)) in &outputs {
            if change.effect() != Effect::Nothing {
                let name = whole(&format!("output {name}"));
                review.line(&format!("~ {name}"));
                let found = review.compared("value", before, after);
                review.differs(&name, &found);
            }
        }
        others.rest(&mut review);
        for (reason, resource) in &deferred {
            let heading = heading(resource.about);
            let reason = whole(reason);
            review.line(&format!(
                "  {heading} is deferred ({reason}): this apply leaves it as it is"
            ));
            let found = review.compared("", &resource.before, &resource.after);
            review.lines(&found);
            review.find(
                Risk::Medium,
                &format!("{heading} is deferred to a later plan"),
            );
        }
        for resource in &drift {
            let heading = heading(resource.about);
            review.line(&format!(
                "  {heading} was changed outside of Terraform, and the state takes note of it"
            ));
            let found = review.compared("", &resource.before, &resource.after);
            review.lines(&found);
        }
        review
    }
}

fn resources(changes: &[ResourceChange]) -> Vec<Resource<'_>> {
    changes.iter().map(Resource::of).collect()
}

fn heading(change: &ResourceChange) -> String {
    let deposed = change.deposed.as_deref().map_or_else(String::new, |key| {
        format!(" (the deposed object {})", whole(key))
    });
    format!("{}{deposed}", whole(&change.address))
}

fn show(review: &mut Review, resource: &Resource<'_>) {
    let Resource {
        about,
        before,
        after,
    } = resource;
    let name = heading(about);
    let effect = about.effect();
    let (sign, word) = match effect {
        Effect::Nothing => (" ", "does not change"),
        Effect::Read => ("<=", "is read during the apply"),
        Effect::Create => ("+", "is created"),
        Effect::Update => ("~", "is updated in place"),
        Effect::Replace => ("-/+", "is destroyed and created anew"),
        Effect::Destroy => ("-", "is destroyed"),
        Effect::Forget => (".", "is no longer managed by Terraform, and stays as it is"),
        Effect::Supersede => (
            "+/.",
            "is created anew, and the old one stays without being managed",
        ),
    };
    review.line(&format!("{sign} {name} {word}"));
    if let Some(before) = about.moved_from() {
        review.line(&format!("    moved from {}", whole(before)));
    }
    if let Some(importing) = &about.change.importing {
        import(review, &name, importing);
    }
    if let Some(config) = &about.change.generated_config {
        let found = review.compared("generated configuration", &Tree::Null, &Tree::text(config));
        review.lines(&found);
    }
    let found = review.compared("", before, after);
    match effect {
        // With all of it its values go: nothing of it is set to something that people do not see.
        Effect::Destroy | Effect::Forget => review.lines(&found),
        Effect::Nothing
        | Effect::Read
        | Effect::Create
        | Effect::Update
        | Effect::Replace
        | Effect::Supersede => {
            review.differs(&name, &found);
            rate(review, &name, resource, &found);
        }
    }
}

fn import(review: &mut Review, name: &str, importing: &Value) {
    let found = review.compared("imported by", &Tree::Null, &Tree::plain(importing));
    if found.is_empty() {
        review.line("    imported, by an id that is not known yet");
    }
    review.lines(&found);
    review.find(
        Risk::Medium,
        &format!("{name} is imported: later plans can destroy it"),
    );
}

fn rate(review: &mut Review, name: &str, resource: &Resource<'_>, found: &Differences) {
    let kind = resource.about.kind.as_str();
    if resource.about.effect() == Effect::Read && kind == "external" {
        review.find(
            Risk::High,
            &format!("{name} runs a program where Terraform runs"),
        );
    }
    if found.is_empty() || !resource.about.effect().changes() {
        return;
    }
    for (path, says) in rights::changed(&resource.before, &resource.after) {
        let message = format!("{name}: {path} {}", says.in_words());
        match says {
            Says::As if resource.about.effect() == Effect::Create => {
                review.find(Risk::Medium, &message);
            }
            Says::As | Says::Who | Says::Reach | Says::Host => review.find_grave(&message),
        }
    }
}
