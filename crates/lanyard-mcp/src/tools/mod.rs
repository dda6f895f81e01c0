//! The tools: one file each.

mod explain;
mod list_charters;
mod release;
mod request_credential;
mod submit_plan;
mod task_status;

pub(crate) use explain::Explain;
pub(crate) use list_charters::ListCharters;
pub(crate) use release::Release;
pub(crate) use request_credential::RequestCredential;
pub(crate) use submit_plan::SubmitPlan;
pub(crate) use task_status::TaskStatus;

use prost_types::Timestamp;

use crate::shown;

/// As RFC 3339 has it.
fn time(at: Option<Timestamp>) -> Option<String> {
    let at = jiff::Timestamp::from_second(at?.seconds).ok()?;
    Some(at.to_string())
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| shown::line(text)).collect()
}

/// Nothing where there is nothing.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| shown::line(text))
}
