//! URLs of the configuration: those the broker calls or is called by, and the page of approvals.

use lanyard_document::{Code, Item};
use lanyard_vocabulary::id::ApprovalId;
use reqwest::Url;

/// Reads a URL, which must use TLS unless it is on this machine.
pub(crate) fn hook_url(item: Item<'_>) -> Option<Url> {
    let url: Url = item.parsed()?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let ok = url.scheme() == "https" || (url.scheme() == "http" && here);
    if !ok {
        item.report(
            Code::Value,
            "expected an https URL: nothing of this travels in the clear",
        );
    }
    ok.then_some(url)
}

/// The URL shown to those who wait for an approval, with its id in the place of `{approval}`.
#[derive(Debug, Clone)]
pub(crate) struct ApprovalUrl(String);

impl ApprovalUrl {
    const PLACE: &str = "{approval}";

    pub(crate) fn of(&self, approval: ApprovalId) -> String {
        self.0.replace(Self::PLACE, &approval.to_string())
    }
}

/// Reads the URL of the page of approvals, which has a place for the id.
pub(crate) fn approval_url(item: Item<'_>) -> Option<ApprovalUrl> {
    hook_url(item)?;
    let text = item.text()?;
    if !text.contains(ApprovalUrl::PLACE) {
        let message = format!("expected {} where the id belongs", ApprovalUrl::PLACE);
        item.report(Code::Value, message);
        return None;
    }
    Some(ApprovalUrl(text.to_owned()))
}
