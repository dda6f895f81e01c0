//! `lanyard rearm`: lifting a kill order, slowly and by two people.

use clap::{Args, ValueEnum};
use lanyard_client::v1;

use crate::Global;
use crate::outcome::Outcome;
use crate::text;

#[derive(Clone, Copy, ValueEnum)]
enum Stage {
    /// Let the plan role be issued again.
    Plan,
    /// Let the apply role be issued again.
    Apply,
}

#[derive(Args)]
pub(crate) struct Rearm {
    /// The kill order to propose for, or the proposal to confirm.
    id: String,
    /// Which step to propose.
    #[arg(long, value_enum, default_value_t = Stage::Plan)]
    stage: Stage,
    /// Why: of a proposal; of a confirmation, why it is right despite what is unconfirmed.
    #[arg(long)]
    reason: Option<String>,
    /// Confirm another person's proposal.
    #[arg(long)]
    confirm: bool,
    /// Even while revocations of the order are not confirmed; both people have to say so, each with a reason.
    #[arg(long, requires = "reason")]
    despite_unconfirmed: bool,
}

pub(crate) async fn rearm(global: &Global, rearm: Rearm) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    if rearm.confirm {
        let request = v1::ConfirmRearmRequest {
            rearm_id: rearm.id,
            despite_unconfirmed: rearm
                .reason
                .filter(|_| rearm.despite_unconfirmed)
                .unwrap_or_default(),
        };
        let order = client
            .confirm_rearm(request)
            .await?
            .order
            .unwrap_or_default();
        let line = format!("{} is lifted for: {}", order.id, order.lifted);
        eprintln!("{}", text::line(&line));
        if order.lifted == "plan" {
            eprintln!(
                "the apply role stays stopped: lanyard rearm {} --stage apply --reason …",
                order.id
            );
        }
        return Ok(());
    }
    let reason = rearm
        .reason
        .ok_or_else(|| Outcome::usage("a proposal needs --reason"))?;
    let stage = match rearm.stage {
        Stage::Plan => v1::RearmStage::Plan,
        Stage::Apply => v1::RearmStage::Apply,
    };
    let request = v1::ProposeRearmRequest {
        kill_id: rearm.id,
        stage: stage.into(),
        reason,
        despite_unconfirmed: rearm.despite_unconfirmed,
    };
    let id = text::line(&client.propose_rearm(request).await?.rearm_id);
    println!("{id}");
    global.note(format_args!(
        "another person has to confirm it within the hour: lanyard rearm --confirm {id}"
    ));
    Ok(())
}
