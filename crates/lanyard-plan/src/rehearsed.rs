//! What a cluster said that manifests would do.

use lanyard_core::provider::Rehearsed;

use crate::manifests::Manifest;
use crate::review::{Review, mask_all};
use crate::secrets::Secrets;
use crate::tree::Tree;

/// A rehearsal as approvers read it: what is made, and what differs, without the values of secrets, on either side and wherever they are
/// repeated. Besides, how many sensitive values differ.
///
/// # Errors
/// When it is more than people can be asked to read.
pub fn compared(rehearsed: &[Rehearsed]) -> Result<String, String> {
    let mut trees: Vec<Tree> = rehearsed
        .iter()
        .flat_map(|Rehearsed { before, after }| [before.as_ref(), Some(after)])
        .map(|side| side.map_or(Tree::Null, Tree::plain))
        .collect();
    let secrets = Secrets::of(&trees);
    mask_all(&mut trees, &secrets);
    let mut review = Review::default();
    for (object, sides) in rehearsed.iter().zip(trees.chunks(2)) {
        let [before, after] = sides else { continue };
        let manifest = Manifest {
            json: object.after.clone(),
        };
        let found = review.compared("", before, after);
        let (sign, word) = match &object.before {
            None => ("+", "is created"),
            Some(_) if found.is_empty() => (" ", "does not change"),
            Some(_) => ("~", "is updated in place"),
        };
        review.line(&format!("{sign} {} {word}", manifest.heading()));
        review.lines(&found);
    }
    if review.is_full() {
        return Err("what the cluster answered is too long to be read; split the plan".to_owned());
    }
    Ok(review.text().to_owned())
}
