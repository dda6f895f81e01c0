//! Faults of the set-up, one line each.

use lanyard_charter::Access;
use lanyard_core::provider::{MintRequest, Provider as _};

use crate::target::{NOW, Target, write};

async fn lines(target: &Target, request: &MintRequest) -> Vec<String> {
    target.provider.check_setup(request).await.unwrap()
}

#[tokio::test]
async fn a_correct_set_up_has_no_faults() {
    let target = Target::start();
    target.github.require_reviews("payments", 1, Some("never"));
    assert_eq!(
        lines(&target, &target.request()).await,
        Vec::<String>::new()
    );
    assert_eq!(
        lines(&target, &target.proposal()).await,
        Vec::<String>::new()
    );
    assert_eq!(target.github.live(), 0);
}

#[tokio::test]
async fn each_fault_of_the_set_up_is_a_line() {
    let target = Target::start();
    target.github.grant("contents", Some("read"));
    let mut request = target.with(|grant| {
        grant
            .permissions
            .insert("contents".to_owned(), Access::Write);
        grant.permissions.insert("checks".to_owned(), Access::Read);
        grant.repositories.insert("elsewhere".to_owned());
    });
    let found = lines(&target, &request).await;
    let told = [
        "the app was granted checks: nothing, and the grant needs checks: read",
        "the app was granted contents: read, and the grant needs contents: write",
        "acme/elsewhere does not exist or is not among the repositories of the installation",
    ];
    assert_eq!(found.len(), told.len(), "{found:?}");
    for (line, told) in found.iter().zip(told) {
        assert!(line.starts_with(told), "{line}");
    }
    request = target.proposal();
    target.github.grant("contents", Some("write"));
    let found = lines(&target, &request).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("no rule demands a review on main"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_missing_installation_is_the_only_line() {
    let target = Target::start();
    target.github.suspend(true);
    let found = lines(&target, &target.request()).await;
    assert!(
        found.len() == 1 && found[0].contains("is suspended"),
        "{found:?}"
    );
    target.github.install(false);
    let found = lines(&target, &target.request()).await;
    assert!(
        found.len() == 1 && found[0].contains("not installed on acme"),
        "{found:?}"
    );
}

/// The app's own key and clock.
#[tokio::test]
async fn a_rejected_app_key_is_the_only_line() {
    let target = Target::start();
    target.github.set_clock(NOW.as_secs() - 3600);
    let mut request = target.request();
    request.now = NOW;
    let found = lines(&target, &request).await;
    assert!(
        found.len() == 1 && found[0].contains("check the clock"),
        "{found:?}"
    );
    target.github.set_clock(NOW.as_secs() + 3600);
    let found = lines(&target, &request).await;
    assert!(
        found.len() == 1 && found[0].contains("check the clock"),
        "{found:?}"
    );
    // A clock that is off by less than a minute is no fault.
    for off in [-59_i64, 59] {
        target
            .github
            .set_clock(NOW.as_secs().checked_add_signed(off).unwrap());
        assert!(lines(&target, &request).await.is_empty(), "{off}");
    }
    write(
        &target.keys(),
        "k9 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
        0o600,
    );
    assert!(
        target
            .restarted()
            .check_setup(&request)
            .await
            .unwrap()
            .is_empty()
    );
}
