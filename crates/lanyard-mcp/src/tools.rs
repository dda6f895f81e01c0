//! The tools of the server, one file each.

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

use crate::redact;

/// Formats a time as RFC 3339.
fn time(at: Option<Timestamp>) -> Option<String> {
    let at = jiff::Timestamp::from_second(at?.seconds).ok()?;
    Some(at.to_string())
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| redact::line(text)).collect()
}

/// Redacts a text. `None` if the text is empty.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| redact::line(text))
}
