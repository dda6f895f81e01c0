//! Phrases that timelines, records and leases share.

use lanyard_core::action::Report;
use lanyard_core::lease::{Progress, StopCause};
use lanyard_vocabulary::time::Timestamp;

pub(super) fn reported(report: &Report) -> String {
    let with = |before: &str, text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{before}{text}")
        }
    };
    format!(
        "{} {}{} {}, says {}{}",
        report.tool,
        report.name,
        with(" on ", &report.on),
        report.outcome,
        report.by,
        with(": ", &report.detail)
    )
}

pub(super) fn cause_of(cause: StopCause) -> String {
    match cause {
        StopCause::Released => "given back".to_owned(),
        StopCause::TaskClosed => "its task was closed".to_owned(),
        StopCause::Expired => "its time was up".to_owned(),
        StopCause::Unconfirmed => "the provider did not confirm it".to_owned(),
        StopCause::Undelivered => "it never reached the agent".to_owned(),
        StopCause::Excessive => "the provider gave more than was asked".to_owned(),
        StopCause::Killed(order) => format!("kill order {order}"),
        StopCause::Collateral(order) => format!("taken along by kill order {order}"),
    }
}

pub(super) fn how_far(progress: Progress) -> Option<String> {
    let at = |word: &str, at: Timestamp| Some(format!("{word} at {at}"));
    match progress {
        Progress::Fenced | Progress::Requested => None,
        Progress::Acknowledged(when) => at("revocation acknowledged", when),
        Progress::PresumedDead(when) => at("presumed dead", when),
        Progress::ProvedDead(when) => at("proved dead", when),
        Progress::Expired(when) => at("expired", when),
    }
}
