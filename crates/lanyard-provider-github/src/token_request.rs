//! The request for a token, and the check of the token that GitHub returned.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_charter::GitHubGrant;
use lanyard_vocabulary::time::Timestamp;

use crate::client::GivenToken;

/// The repositories and permissions of a request. Both are always sent, because GitHub reads a
/// missing one as all (T38).
pub(crate) struct TokenRequest<'a> {
    repositories: &'a BTreeSet<String>,
    permissions: BTreeMap<String, String>,
}

impl<'a> TokenRequest<'a> {
    pub(crate) fn of(grant: &'a GitHubGrant) -> Self {
        let permissions = grant.permissions.iter();
        Self {
            repositories: &grant.repositories,
            permissions: permissions
                .map(|(name, access)| (name.clone(), access.to_string()))
                .collect(),
        }
    }

    /// A request for a token that can only read branch rules.
    pub(crate) fn metadata(repositories: &'a BTreeSet<String>) -> Self {
        Self {
            repositories,
            permissions: [("metadata".to_owned(), "read".to_owned())].into(),
        }
    }

    pub(crate) fn body(&self) -> String {
        let body = serde_json::json!({
            "repositories": self.repositories,
            "permissions": self.permissions,
        });
        body.to_string()
    }

    /// Checks the token against the request (T79). Returns its expiry, or how it differs.
    pub(crate) fn check(
        &self,
        owner: &str,
        given: &GivenToken,
        latest: Timestamp,
    ) -> Result<Timestamp, String> {
        let no = |how: &str| Err(how.to_owned());
        let expires = match given.expires {
            Some(expires) if expires <= latest => expires,
            Some(expires) => {
                return Err(format!(
                    "the token lives until {expires}, longer than requested"
                ));
            }
            None => return no("the token has no expiry"),
        };
        // GitHub adds `metadata: read` to every permission on a repository (page «Permissions
        // required for GitHub Apps»).
        let mut with_metadata = self.permissions.clone();
        let metadata = with_metadata.entry("metadata".to_owned());
        metadata.or_insert_with(|| "read".to_owned());
        match &given.permissions {
            Some(found) if *found == self.permissions || *found == with_metadata => {}
            Some(_) => return no("the token's permissions differ from the request"),
            None => return no("the answer names no permissions"),
        }
        if given.selection.as_deref() != Some("selected") {
            return no("the token covers every repository");
        }
        let found = given.repositories.iter().flatten();
        let ours = found.clone().all(|(of, _)| of.eq_ignore_ascii_case(owner));
        // GitHub's names are case-insensitive.
        let names: BTreeSet<_> = found.map(|(_, name)| name.to_ascii_lowercase()).collect();
        let asked = self.repositories.iter();
        let asked: BTreeSet<_> = asked.map(|name| name.to_ascii_lowercase()).collect();
        if !ours || names != asked {
            return no("the token's repositories differ from the request");
        }
        Ok(expires)
    }
}

#[cfg(test)]
mod tests {
    use lanyard_charter::Access;
    use lanyard_vocabulary::secret::Secret;

    use super::*;

    const END: Timestamp = Timestamp::from_secs(1_800_003_600);

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|&(name, access)| (name.to_owned(), access.to_owned()))
            .collect()
    }

    fn given(change: impl FnOnce(&mut GivenToken)) -> GivenToken {
        let mut given = GivenToken {
            token: Secret::new("ghs_canary".to_owned()),
            expires: Some(END),
            permissions: Some(texts(&[("contents", "read"), ("metadata", "read")])),
            selection: Some("selected".to_owned()),
            repositories: Some(vec![("Acme".to_owned(), "payments".to_owned())]),
        };
        change(&mut given);
        given
    }

    /// T79: each member of the answer, missing or different.
    #[test]
    fn t79_a_token_that_differs_from_the_request_is_noticed() {
        let grant = GitHubGrant {
            repositories: ["payments".to_owned()].into(),
            permissions: [("contents".to_owned(), Access::Read)].into(),
            proposes: false,
        };
        let asked = TokenRequest::of(&grant);
        let checked = |given: GivenToken| asked.check("acme", &given, END);
        assert_eq!(checked(given(|_| {})), Ok(END));
        let bare = given(|it| it.permissions = Some(texts(&[("contents", "read")])));
        assert_eq!(checked(bare), Ok(END));
        let pair = |owner: &str, name: &str| (owner.to_owned(), name.to_owned());
        let wrong = [
            given(|it| it.expires = None),
            given(|it| it.expires = Some(Timestamp::from_secs(1_800_003_601))),
            given(|it| it.permissions = None),
            given(|it| it.permissions = Some(texts(&[("metadata", "read")]))),
            given(|it| it.permissions = Some(texts(&[("contents", "write")]))),
            given(|it| {
                it.permissions = Some(texts(&[("contents", "read"), ("metadata", "write")]));
            }),
            given(|it| it.selection = None),
            given(|it| it.selection = Some("all".to_owned())),
            given(|it| it.repositories = None),
            given(|it| it.repositories = Some(Vec::new())),
            given(|it| it.repositories = Some(vec![pair("other", "payments")])),
            given(|it| {
                it.repositories = Some(vec![pair("acme", "payments"), pair("acme", "ledger")]);
            }),
        ];
        for (at, given) in wrong.into_iter().enumerate() {
            let how = checked(given).unwrap_err();
            assert!(!how.contains("canary"), "case {at}: {how}");
        }
    }
}
