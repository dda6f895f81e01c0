//! A plan that could not be applied is denied when it is submitted, before people are asked.

use lanyard_core::decide::Rule;
use lanyard_engine::mint::IssueError;
use lanyard_testkit::world;

use crate::common::submit;

/// Submits a plan for a target that revokes within ten seconds, under a charter that asks for this
/// bound.
async fn submitted(revocable_within: &str) -> Result<(), Rule> {
    let limit = format!("    revocable_within: {revocable_within}\n");
    let bench = crate::common::bench(&format!("{}{limit}", world::CHARTER)).await;
    match submit(&bench).await {
        Ok(_) => Ok(()),
        Err(IssueError::Denied { denial, .. }) => Err(denial.rule),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_plan_whose_credential_revokes_too_slowly_is_denied_at_once() {
    assert_eq!(submitted("10s").await, Ok(()));
    assert_eq!(submitted("9s").await, Err(Rule::Limits));
}
