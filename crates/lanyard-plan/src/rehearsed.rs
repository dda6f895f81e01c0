//! The view of a rehearsal: what a cluster said that manifests would change.

use lanyard_core::provider::Rehearsed;

use crate::manifests;
use crate::review::Piece::{Named, Own};
use crate::review::Review;
use crate::secrets::Secrets;
use crate::tree::Tree;

/// Renders a rehearsal for approvers: what is created, and what differs. Values of secrets are
/// masked on both sides, and wherever they recur.
///
/// # Errors
/// When the view is too long to be read.
pub fn compared(rehearsed: &[Rehearsed]) -> Result<String, String> {
    let side = |side: Option<&serde_json::Value>| side.map_or(Tree::Null, Tree::plain);
    let each = rehearsed.iter();
    let trees: Vec<(Tree, Tree)> = each
        .map(|it| (side(it.before.as_ref()), side(Some(&it.after))))
        .collect();
    let both = trees.iter().flat_map(|(before, after)| [before, after]);
    let mut review = Review::of(Secrets::of(both));
    for (object, (before, after)) in rehearsed.iter().zip(trees) {
        let (before, after) = (review.mask(before), review.mask(after));
        let heading = manifests::heading(&mut review, &object.after);
        let found = review.compared("", &before, &after);
        let (sign, word) = match &object.before {
            None => ("+ ", " is created"),
            Some(_) if found.is_empty() => ("  ", " does not change"),
            Some(_) => ("~ ", " is updated in place"),
        };
        review.line(&[Own(sign), Named(&heading), Own(word)]);
        review.lines(&found);
    }
    if review.is_full() {
        return Err("what the cluster answered is too long to be read; split the plan".to_owned());
    }
    Ok(review.text().to_owned())
}
