//! Interprets GitHub's answers. GitHub's own words are never shown (T50): the status, and the
//! beginning of a known message, become a code.

use std::time::Duration;

use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::time::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::PROVIDER;

/// The wait for a rate limit without a time: one minute, by the page «Rate limits for the REST
/// API».
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// The longest wait that is accepted, that of the primary rate limit.
///
/// # Limit
/// - for: a limit that GitHub says
/// - unit: of time
/// - beyond: a longer wait is cut to this
/// - test: `t46_a_limit_says_how_long_it_lasts`
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Messages that say more than their status: the status, the beginning of the message, and the
/// remedy for the operator.
const MESSAGES: &[(u16, &str, &str)] = &[
    (
        401,
        "A JSON web token could not be decoded",
        "GitHub rejects the app's key: check private_key and app_id",
    ),
    (
        401,
        "'Expiration time' claim",
        "the app's token is out of date: check the clock of this machine",
    ),
    (
        401,
        "'Issued at' claim",
        "the app's token is out of date: check the clock of this machine",
    ),
    (
        403,
        "This installation has been suspended",
        "the installation is suspended: whoever suspended it has to lift that, an owner in the settings or the app by its API",
    ),
    (
        403,
        "Resource not accessible by integration",
        "the token lacks a permission for this",
    ),
    (
        404,
        "Integration not found",
        "no app has this id: check app_id",
    ),
    (
        422,
        "The permissions requested are not granted to this installation",
        "the app was not granted a permission that the grant names: change it in the settings of the app, and have an \
         owner accept that",
    ),
    (
        422,
        "There is at least one repository that does not exist",
        "a repository of the grant does not exist or is not among those of the installation",
    ),
];
const RATE_LIMIT_MESSAGES: &[&str] = &[
    "You have exceeded a secondary rate limit",
    "API rate limit exceeded",
];

/// The time until which the provider may send only revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    For(Duration),
    Until(Timestamp),
}

/// An answer from GitHub, or from a proxy or gateway.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The time by GitHub's clock.
    pub(crate) date: Option<Timestamp>,
    wait: Option<Wait>,
    body: Zeroizing<Vec<u8>>,
    /// The answer is GitHub's own, and not that of a proxy or gateway. No other answer counts.
    own: bool,
}

/// Header of every answer of the API, whatever its status (page «Troubleshooting the REST API»).
const REQUEST_ID_HEADER: &str = "x-github-request-id";

#[derive(Deserialize)]
struct Message {
    message: String,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: Zeroizing<Vec<u8>>) -> Self {
        let media = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        let empty = status == StatusCode::NO_CONTENT && body.is_empty();
        let form = empty || media.eq_ignore_ascii_case("application/json");
        let redirect = status.is_redirection();
        let named = text(headers, REQUEST_ID_HEADER).is_some_and(|id| !id.is_empty());
        let mut answer = Self {
            status,
            date: text(headers, DATE.as_str()).and_then(Timestamp::from_http_date),
            wait: None,
            body,
            own: named && (form || redirect),
        };
        answer.wait = answer.limit(headers).filter(|_| answer.own);
        answer
    }

    /// True when GitHub itself gave the answer.
    pub(crate) const fn is_own(&self) -> bool {
        self.own
    }

    fn message(&self) -> String {
        let read = serde_json::from_slice::<Message>(&self.body);
        read.map(|read| read.message).unwrap_or_default()
    }

    /// The rate limit of an answer, in one of the three forms of «Rate limits for the REST API»:
    /// status 403 or 429, with a header or a message.
    fn limit(&self, headers: &HeaderMap) -> Option<Wait> {
        if !matches!(self.status.as_u16(), 403 | 429) {
            return None;
        }
        let number = |name: &str| text(headers, name)?.parse::<u64>().ok();
        if let Some(seconds) = number(RETRY_AFTER.as_str()) {
            return Some(Wait::For(Duration::from_secs(seconds)));
        }
        if number("x-ratelimit-remaining") == Some(0) {
            let reset = number("x-ratelimit-reset").map(Timestamp::from_secs);
            return Some(reset.map_or(Wait::For(DEFAULT_WAIT), Wait::Until));
        }
        let message = self.message();
        let said = RATE_LIMIT_MESSAGES
            .iter()
            .any(|limit| message.starts_with(limit));
        (said || self.status.as_u16() == 429).then_some(Wait::For(DEFAULT_WAIT))
    }

    /// The time until which the provider may send nothing but revocations; `None` without a limit.
    pub(crate) fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = match self.wait? {
            Wait::For(span) => now + span.min(MAX_WAIT),
            Wait::Until(until) => until.min(now + MAX_WAIT),
        };
        Some(until)
    }

    /// Parses the body of an answer with the expected status; any other answer becomes an error.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        expected: StatusCode,
    ) -> Result<T, ProviderError> {
        if self.status != expected || !self.own {
            return Err(self.failure(operation));
        }
        serde_json::from_slice(&self.body).map_err(|_| ProviderError::Ambiguous {
            provider: PROVIDER,
            operation,
            code: format!("{} with an unreadable body", self.status.as_u16()),
        })
    }

    /// Returns the error of an answer that is not the expected one. After
    /// [`ProviderError::Refused`] and [`ProviderError::Throttled`], GitHub has done nothing.
    pub(crate) fn failure(&self, operation: &'static str) -> ProviderError {
        let status = self.status.as_u16();
        if self.wait.is_some() {
            return ProviderError::Throttled {
                provider: PROVIDER,
                operation,
            };
        }
        if !self.own {
            return ProviderError::Ambiguous {
                provider: PROVIDER,
                operation,
                code: format!("{status}: not GitHub's own answer"),
            };
        }
        match status {
            300..=499 => refused(operation, self.code()),
            _ => ProviderError::Ambiguous {
                provider: PROVIDER,
                operation,
                code: status.to_string(),
            },
        }
    }

    fn code(&self) -> String {
        let (status, message) = (self.status.as_u16(), self.message());
        let known = MESSAGES
            .iter()
            .find(|(of, begins, _)| *of == status && message.starts_with(begins));
        match (known, status) {
            (Some((_, _, code)), _) => format!("{status}: {code}"),
            (None, 300..=399) => {
                format!(
                    "{status}: GitHub redirects; the owner or the repository may have been renamed"
                )
            }
            (None, _) => status.to_string(),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn refused(operation: &'static str, code: impl Into<String>) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn answer(status: u16, headers: &[(&'static str, &str)], message: &str) -> Answer {
        let mut map = HeaderMap::new();
        map.insert(REQUEST_ID_HEADER, "0A1B:2C3D".parse().unwrap());
        let media = "application/json; charset=utf-8".parse().unwrap();
        map.insert(CONTENT_TYPE, media);
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let body = serde_json::json!({"message": message, "status": status.to_string()});
        let body = Zeroizing::new(body.to_string().into_bytes());
        Answer::new(StatusCode::from_u16(status).unwrap(), &map, body)
    }

    /// T46: the wait that each form of a limit asks for.
    #[test]
    fn t46_a_limit_says_how_long_it_lasts() {
        let reset = NOW + Duration::from_secs(1800);
        let reset_text = reset.as_secs().to_string();
        let full: &[_] = &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", &reset_text),
        ];
        let cases = [
            (answer(429, &[("retry-after", "120")], ""), Some(120)),
            (answer(403, &[("retry-after", "30")], ""), Some(30)),
            (answer(403, full, ""), Some(1800)),
            (
                answer(403, &[], "You have exceeded a secondary rate limit. Wait"),
                Some(60),
            ),
            (answer(429, &[], ""), Some(60)),
            (answer(429, &[("retry-after", "999999")], ""), Some(3600)),
            (
                answer(403, &[], "Resource not accessible by integration"),
                None,
            ),
            (answer(422, &[("retry-after", "120")], ""), None),
        ];
        for (at, (answer, seconds)) in cases.into_iter().enumerate() {
            let until = seconds.map(|seconds| NOW + Duration::from_secs(seconds));
            assert_eq!(answer.quiet_until(NOW), until, "case {at}");
            let throttled = matches!(answer.failure("mint"), ProviderError::Throttled { .. });
            assert_eq!(throttled, seconds.is_some(), "case {at}");
        }
    }

    /// T50: no text of GitHub reaches an error.
    #[test]
    fn t50_words_of_github_are_not_passed_on() {
        let canary = "ghs_canary";
        for status in [301, 400, 401, 403, 404, 409, 422, 500, 502] {
            let error = answer(status, &[], canary).failure("mint");
            assert!(!format!("{error} {error:?}").contains(canary), "{status}");
        }
        let suspended = answer(403, &[], "This installation has been suspended ghs_canary");
        let error = suspended.failure("mint").to_string();
        assert!(
            error.contains("suspended") && !error.contains(canary),
            "{error}"
        );
    }

    #[test]
    fn only_a_refusal_says_that_nothing_was_done() {
        for (status, retryable) in [
            (302, false),
            (404, false),
            (422, false),
            (500, true),
            (503, true),
        ] {
            let error = answer(status, &[], "").failure("mint");
            assert_eq!(error.is_retryable(), retryable, "{status}");
        }
    }

    #[test]
    fn the_clock_of_github_is_read() {
        let answer = answer(200, &[("date", "Fri, 15 Jan 2027 08:00:00 GMT")], "");
        assert_eq!(answer.date, Some(NOW));
    }
}
