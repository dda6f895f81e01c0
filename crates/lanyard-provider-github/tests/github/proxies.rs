//! A proxy between the broker and GitHub breaks, throttles and answers in GitHub's place: for all
//! requests, and for one method.

use lanyard_core::provider::{Provider as _, Revoked};
use lanyard_testkit::conformance::between::{Answer, Between, Fault, Rule};

use crate::target::{NOW, Target, revoke, token};

const LIST: (&str, &str) = ("GET", "/installation/repositories");
const OTHER: (&str, &str) = (
    "application/json",
    r#"{"kind": "Other", "data": {"id": 1}}"#,
);
/// A gateway that throttles.
const THROTTLES: [Answer; 2] = [
    Answer {
        status: "429 Too Many Requests",
        media: "text/html",
        body: "<html><body>later</body></html>",
    },
    Answer {
        status: "429 Too Many Requests",
        media: "application/json",
        body: "{}",
    },
];

/// S47: each token is tried round by round.
#[tokio::test]
async fn s47_no_working_token_is_called_dead_and_all_die_without_faults() {
    let target = Target::start();
    let server = target.github.url();
    let server = server.strip_prefix("http://").unwrap().parse().unwrap();
    let between = Between::start(server);
    let provider = target.behind(between.address());
    // Old enough for 401 to mean that a token has ended.
    let now = NOW.as_secs() + 600;
    for fault in Fault::all(&THROTTLES, &[OTHER]) {
        for method in ["", "DELETE", "GET"] {
            let told = format!("{fault:?} to `{method}`");
            let (lease, minted) = target.lease().await;
            let works = || target.call(LIST, token(&minted)) == 200;
            let due = std::slice::from_ref(&lease);
            between.fail(fault, Rule::method(method));
            for _ in 0..2 {
                let revoked = revoke(&provider, &lease, now).await;
                assert!(revoked.is_err() || !works(), "{told}: {revoked:?}");
                let proved = provider.finish_and_prove(due).await;
                let dead = proved.iter().any(|(_, outcome)| outcome.is_ok());
                assert!(!dead || !works(), "{told}: {proved:?}");
            }
            between.clear();
            let revoked = revoke(&provider, &lease, now).await;
            assert!(revoked.is_ok(), "{told}: {revoked:?}");
            let proved = provider.finish_and_prove(due).await;
            assert_eq!(proved, [(lease.id, Ok(Revoked::ProvedDead))], "{told}");
            assert!(!works(), "{told}");
        }
    }
}
