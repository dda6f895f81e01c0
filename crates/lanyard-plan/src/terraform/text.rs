//! The view of a Terraform plan: the change of each resource, attribute by attribute, with
//! sensitive values masked.

use lanyard_charter::plan::Risk;

use super::{Change, Effect, ResourceChange, TerraformPlan, parts, providers};
use crate::difference::Differences;
use crate::review::Piece::{Named, Own, Plan};
use crate::review::{Name, Review};
use crate::secrets::{Masked, Secrets};
use crate::tree::{Marks, Tree};

/// A resource with its values before and after.
struct Resource<'a> {
    about: &'a ResourceChange,
    before: Tree,
    after: Tree,
    importing: Option<Tree>,
    generated: Option<Tree>,
}

impl<'a> Resource<'a> {
    fn of(about: &'a ResourceChange) -> Self {
        let (mut before, mut after) = sides(&about.change);
        if about.kind.starts_with("kubernetes_secret") {
            before.hide_secret_objects(true);
            after.hide_secret_objects(true);
        }
        let change = &about.change;
        Self {
            about,
            before,
            after,
            importing: change.importing.as_ref().map(Tree::plain),
            generated: change.generated_config.as_deref().map(Tree::text),
        }
    }

    fn trees(&self) -> impl Iterator<Item = &Tree> {
        let more = self.importing.iter().chain(&self.generated);
        [&self.before, &self.after].into_iter().chain(more)
    }
}

/// Returns both sides of a change with their marks.
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
    /// Renders the plan and rates its risk. Values that Terraform marks as sensitive are masked,
    /// and so are their repetitions.
    pub(crate) fn review(&self) -> Review {
        let outline = &self.outline;
        let changes = resources(&outline.resource_changes);
        let drift = resources(&outline.resource_drift);
        let deferred = outline.deferred_changes.iter();
        let deferred: Vec<_> = deferred
            .map(|it| (it.reason.as_str(), Resource::of(&it.resource_change)))
            .collect();
        let outputs = outline.output_changes.iter();
        let outputs: Vec<_> = outputs
            .map(|(name, change)| (name, change, sides(change)))
            .collect();
        let others = parts::Others::of(outline);
        let state = parts::marked_values(outline);

        let each = changes.iter().chain(&drift);
        let each = each.chain(deferred.iter().map(|(_, resource)| resource));
        let both = outputs.iter().map(|(.., sides)| sides);
        let trees = each
            .flat_map(Resource::trees)
            .chain(both.flat_map(|(before, after)| [before, after]))
            .chain(others.trees())
            .chain(&state);
        let mut review = Review::of(Secrets::of(trees));

        others.first(&mut review);
        for resource in changes {
            if resource.about.effect() == Effect::Open {
                // Its configuration is shown with those of plans that list none of them here.
                let name = heading(&mut review, resource.about);
                by_provider(&mut review, &name, resource.about);
            } else if resource.about.is_applied() {
                let is_gone = others.is_gone(&resource.about.address);
                show(&mut review, resource, is_gone);
            }
        }
        for (name, change, (before, after)) in outputs {
            if change.effect() != Effect::Nothing {
                let name = review.name(&[Own("output "), Plan(name)]);
                review.line(&[Own("~ "), Named(&name)]);
                let (before, after) = (review.mask(before), review.mask(after));
                let found = review.compared("value", &before, &after);
                review.differs(&name, &found);
            }
        }
        others.rest(&mut review);
        for (reason, resource) in deferred {
            let heading = heading(&mut review, resource.about);
            review.line(&[
                Own("  "),
                Named(&heading),
                Own(" is deferred ("),
                Plan(reason),
                Own("): this apply leaves it as it is"),
            ]);
            let found = compared(&mut review, resource.before, resource.after);
            review.lines(&found);
            review.find(
                Risk::Medium,
                &[Named(&heading), Own(" is deferred to a later plan")],
            );
        }
        for resource in drift {
            let heading = heading(&mut review, resource.about);
            review.line(&[
                Own("  "),
                Named(&heading),
                Own(" was changed outside of Terraform, and the state takes note of it"),
            ]);
            let found = compared(&mut review, resource.before, resource.after);
            review.lines(&found);
        }
        review
    }
}

fn resources(changes: &[ResourceChange]) -> Vec<Resource<'_>> {
    changes.iter().map(Resource::of).collect()
}

fn compared(review: &mut Review, before: Tree, after: Tree) -> Differences {
    let (before, after) = (review.mask(before), review.mask(after));
    review.compared("", &before, &after)
}

fn heading(review: &mut Review, change: &ResourceChange) -> Name {
    match &change.deposed {
        None => review.name(&[Plan(&change.address)]),
        Some(key) => review.name(&[
            Plan(&change.address),
            Own(" (the deposed object "),
            Plan(key),
            Own(")"),
        ]),
    }
}

/// Says which provider makes the resource, where that is not the usual one of its type.
fn by_provider(review: &mut Review, name: &Name, about: &ResourceChange) {
    if let Some(provider) = providers::unusual(about.provider_name.as_deref(), &about.kind) {
        review.line(&[Own("    by the provider "), Plan(provider)]);
        review.find(
            Risk::High,
            &[
                Named(name),
                Own(" is of the provider "),
                Plan(provider),
                Own(", which is not the usual one of its type"),
            ],
        );
    }
}

fn show(review: &mut Review, resource: Resource<'_>, is_gone: bool) {
    let Resource {
        about,
        before,
        after,
        importing,
        generated,
    } = resource;
    let name = heading(review, about);
    let effect = about.effect();
    let (sign, word) = match effect {
        Effect::Nothing => ("  ", " does not change"),
        Effect::Read => ("<= ", " is read during the apply"),
        Effect::Open => ("! ", " is opened during the apply"),
        Effect::Create => ("+ ", " is created"),
        Effect::Update => ("~ ", " is updated in place"),
        Effect::Replace => ("-/+ ", " is destroyed and created anew"),
        Effect::Destroy => ("- ", " is destroyed"),
        Effect::Forget => (
            ". ",
            " is no longer managed by Terraform, and stays as it is",
        ),
        Effect::Supersede => (
            "+/. ",
            " is created anew, and the old one stays without being managed",
        ),
    };
    review.line(&[Own(sign), Named(&name), Own(word)]);
    by_provider(review, &name, about);
    if effect == Effect::Destroy && about.deposed.is_none() && is_gone {
        review.line(&[Own(
            "    its configuration is gone: a `removed` block may run a command with it that no plan shows",
        )]);
        review.find(
            Risk::Medium,
            &[
                Named(&name),
                Own(" is gone from the configuration, and may run a command that no plan shows when it is destroyed"),
            ],
        );
    }
    if let Some(before) = about.moved_from() {
        review.line(&[Own("    moved from "), Plan(before)]);
    }
    if let Some(importing) = importing {
        let importing = review.mask(importing);
        import(review, &name, &importing);
    }
    if let Some(config) = generated {
        let config = review.mask(config);
        let found = review.comes("generated configuration", &config);
        review.differs(&name, &found);
    }
    let is_set = match effect {
        // A deleted resource takes all its values with it: none is set to something that people do
        // not see.
        Effect::Destroy | Effect::Forget => false,
        Effect::Nothing
        | Effect::Read
        | Effect::Open
        | Effect::Create
        | Effect::Update
        | Effect::Replace
        | Effect::Supersede => true,
    };
    if is_set && effect.changes() {
        review.rate(&name, &before, &after, effect == Effect::Create);
    }
    if effect.changes() || effect == Effect::Read {
        match providers::acting(&about.kind) {
            Some(does) => review.find(Risk::High, &[Named(&name), Own(" "), Own(does)]),
            None if effect == Effect::Read => review.find(
                Risk::Medium,
                &[Named(&name), Own(" is read during the apply")],
            ),
            None => {}
        }
    }
    let found = compared(review, before, after);
    if is_set {
        review.differs(&name, &found);
    } else {
        review.lines(&found);
    }
}

fn import(review: &mut Review, name: &Name, importing: &Masked) {
    let found = review.comes("imported by", importing);
    if found.is_empty() {
        review.line(&[Own("    imported, by an id that is not known yet")]);
    }
    review.lines(&found);
    review.find(
        Risk::Medium,
        &[Named(name), Own(" is imported: later plans can destroy it")],
    );
}
