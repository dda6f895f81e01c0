//! State of the fake, and its JSON forms.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Asked, Fault, INSTALLATION, OWNER};

pub(crate) type Permissions = BTreeMap<String, String>;

/// Lifetime of an access token in seconds: page «Generating an installation access token for a
/// GitHub App».
pub(crate) const TOKEN_LIFETIME_SECONDS: u64 = 3600;

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) made: u64,
    pub(crate) expires: u64,
    pub(crate) permissions: Permissions,
    pub(crate) repositories: BTreeSet<String>,
}

/// A ruleset that requires approving reviews on the default branch.
#[derive(Debug, Clone)]
pub(crate) struct Reviews {
    pub(crate) count: u64,
    pub(crate) bypass: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) reviews: Option<Reviews>,
    /// File contents by path.
    pub(crate) files: BTreeMap<String, String>,
    /// True for each merged pull request; the first has number 1.
    pub(crate) pulls: Vec<bool>,
}

pub(crate) struct State {
    pub(crate) public_key: Vec<u8>,
    /// Seconds since 1970, if a test has stopped the clock.
    pub(crate) clock: Option<u64>,
    pub(crate) installed: bool,
    pub(crate) suspended: bool,
    /// Permissions of the app on the account.
    pub(crate) granted: Permissions,
    /// Repositories of the installation.
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) minted: Vec<String>,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) once: BTreeSet<Fault>,
    /// Tokens whose revocation fails once.
    pub(crate) kept: BTreeSet<String>,
    pub(crate) repeats: String,
    pub(crate) asked: Vec<Asked>,
}

impl State {
    pub(crate) fn new(public_key: Vec<u8>) -> Self {
        let granted = [
            ("contents", "write"),
            ("issues", "write"),
            ("metadata", "read"),
            ("pull_requests", "write"),
        ];
        let granted = granted.map(|(name, access)| (name.to_owned(), access.to_owned()));
        Self {
            public_key,
            clock: None,
            installed: true,
            suspended: false,
            granted: granted.into(),
            repositories: BTreeMap::new(),
            tokens: BTreeMap::new(),
            minted: Vec::new(),
            faults: BTreeSet::new(),
            once: BTreeSet::new(),
            kept: BTreeSet::new(),
            repeats: String::new(),
            asked: Vec::new(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a server has the machine's clock"
    )]
    pub(crate) fn now(&self) -> u64 {
        let real = || SystemTime::now().duration_since(UNIX_EPOCH);
        let real = || real().map(|since| since.as_secs()).unwrap_or_default();
        self.clock.unwrap_or_else(real)
    }

    /// True if the fault is active.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// True if the fault applies to the current request. Clears a fault that applies once.
    pub(crate) fn meets(&mut self, fault: Fault) -> bool {
        self.once.remove(&fault) || self.has(fault)
    }

    /// Renders the schema «installation» of the page «REST API endpoints for GitHub Apps».
    pub(crate) fn installation(&self) -> Value {
        let since = "2026-01-01T00:00:00Z";
        json!({
            "id": INSTALLATION,
            "account": {"login": OWNER, "id": 1, "type": "Organization"},
            "repository_selection": "selected",
            "app_id": 12345,
            "target_type": "Organization",
            "permissions": self.granted,
            "events": [],
            "created_at": since,
            "updated_at": since,
            "suspended_at": self.suspended.then_some(since),
        })
    }

    /// Renders the used part of the schema «repository».
    pub(crate) fn repository(&self, name: &str) -> Value {
        let id = self.repositories.get(name).map_or(0, |found| found.id);
        json!({
            "id": id,
            "name": name,
            "full_name": format!("{OWNER}/{name}"),
            "private": true,
            "owner": {"login": OWNER, "id": 1, "type": "Organization"},
            "default_branch": "main",
        })
    }
}

/// Ranks an access level. An unknown level ranks above all others.
pub(crate) fn rank(access: &str) -> u8 {
    match access {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => u8::MAX,
    }
}

/// Converts days since 1970 to year, month and day (proleptic Gregorian calendar).
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn clock(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Formats a time as RFC 3339.
pub(crate) fn instant(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}T{}Z", clock(seconds))
}

/// Formats a time as in the `Date` header (RFC 9110, section 5.6.7).
pub(crate) fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], at: u64| -> &'static str {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at).copied().unwrap_or_default()
    };
    let (week, month) = (
        name(&DAYS, days % 7),
        name(&MONTHS, month.saturating_sub(1)),
    );
    format!("{week}, {day:02} {month} {year:04} {} GMT", clock(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_github_writes_them() {
        assert_eq!(instant(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(date(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(instant(951_782_400), "2000-02-29T00:00:00Z");
    }
}
