//! Which policies a lease may have.

use std::collections::BTreeSet;

use lanyard_charter::VaultGrant;
use lanyard_core::provider::Provider as _;
use lanyard_vocabulary::role::Role;

use crate::faked;

/// T37: for each policy, whether an apply role and a plan role may have it.
#[tokio::test]
async fn t37_policies_with_too_many_rights_are_refused() {
    let table: [(&str, bool, bool); 54] = [
        (
            r#"path "kv/data/payments" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "kv/data/payments" { capabilities = ["create", "update"] }"#,
            true,
            false,
        ),
        (
            r#"path "kv/*" { capabilities = ["read", "list"] }"#,
            true,
            true,
        ),
        (r#"path "kv/data/a" { policy = "read" }"#, true, true),
        (r#"path "kv/data/a" { policy = "write" }"#, true, false),
        (r#"path "kv/data/a" { policy = "sudo" }"#, false, false),
        (
            r#"path "kv/data/a" { capabilities = ["read", "sudo"] }"#,
            false,
            false,
        ),
        (r#"path "*" { capabilities = ["read"] }"#, false, false),
        (
            r#"path "*" { capabilities = ["deny"] }
            path "kv/data/a" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "+/data/a" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (r#"path "s*" { capabilities = ["list"] }"#, false, false),
        (r#"path "sys/*" { capabilities = ["read"] }"#, false, false),
        (
            r#"path "sys/+/acl/x" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (r#"path "auth/*" { capabilities = ["read"] }"#, false, false),
        (
            r#"path "identity/*" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "sys/policies/acl/x" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        (
            r#"path "sys/policies/acl/*" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "sys/auth/x" { capabilities = ["create"] }"#,
            false,
            false,
        ),
        (
            r#"path "sys/mounts/x" { capabilities = ["create"] }"#,
            false,
            false,
        ),
        (
            r#"path "auth/token/create" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        (
            r#"path "auth/token/revoke-self" { capabilities = ["update"] }"#,
            true,
            true,
        ),
        (
            r#"path "identity/entity" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        (
            r#"path "kv/data/{{identity.entity.id}}" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "database/creds/admin" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "database/creds/reader" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "database/creds/*" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "aws/creds/deploy" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        // Secrets that live on without the token.
        (
            r#"path "aws/sts/deploy" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        (
            r#"path "pki/issue/mail" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        (
            r#"path "pki/issue/web" { capabilities = ["update"] }"#,
            true,
            false,
        ),
        (
            r#"path "pki/cert/ca" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "pki/cert/crl" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "team/database/creds/*" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "identity/oidc/token/agent" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        // Reads that change something, or return all data.
        (
            r#"path "pki/crl/rotate" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "pki/crl/rotate-delta" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "sys/storage/raft/snapshot" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (
            r#"path "sys/health" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "sys/mounts" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "sys/mounts/kv/tune" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "sys/metrics" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "sys/metrics" { capabilities = ["update"] }"#,
            false,
            false,
        ),
        // A pattern in `reading` does not count.
        (
            r#"path "database/roles/*" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        // Wildcards that cover more than what is mounted now.
        (r#"path "team/*" { capabilities = ["read"] }"#, false, false),
        (r#"path "t*" { capabilities = ["read"] }"#, false, false),
        (r#"path "kv*" { capabilities = ["read"] }"#, false, false),
        (
            r#"path "team/+/data/a" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (r#"path "kv/+/a" { capabilities = ["read"] }"#, true, true),
        (
            r#"path "transit/byok-export/a/b" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "transit/*" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "team/kv/*" { capabilities = ["read"] }"#,
            true,
            true,
        ),
        (
            r#"path "transit/export/encryption-key/a" { capabilities = ["read"] }"#,
            true,
            false,
        ),
        (
            r#"path "nowhere/a" { capabilities = ["read"] }"#,
            false,
            false,
        ),
        (r#"path "kv/data/a" { capabilities = ["#, false, false),
    ];
    for (at, (text, apply, plan)) in table.into_iter().enumerate() {
        for (role, given) in [(Role::Apply, apply), (Role::Plan, plan)] {
            let faked = faked();
            let policy = ("payments-read".to_owned(), text.to_owned());
            faked.fake.state().policies.extend([policy]);
            let mut request = faked.request(100 + u64::try_from(at).unwrap());
            request.role = role;
            let answer = faked.mint(&request).await;
            assert_eq!(answer.is_ok(), given, "{role} {text}: {answer:?}");
            assert_eq!(faked.children(), usize::from(given), "{role} {text}");
        }
    }
}

/// T37: names that no lease may have, and one that does not exist.
#[tokio::test]
async fn t37_forbidden_policy_names_are_refused() {
    let faked = faked();
    for name in [
        "root",
        "default",
        "Root",
        "",
        "a b",
        "a/b",
        "../x",
        "*",
        "response-wrapping",
    ] {
        let mut request = faked.request(40);
        faked
            .provider
            .ensure_shared_objects(&request)
            .await
            .unwrap();
        if let Some(grant) = request.rights.get_mut::<VaultGrant>() {
            grant.policies = BTreeSet::from([name.to_owned()]);
        }
        assert!(faked.provider.prepare(&request).is_err(), "{name:?}");
    }
    let mut request = faked.request(41);
    if let Some(grant) = request.rights.get_mut::<VaultGrant>() {
        grant.policies = BTreeSet::from(["payments-unwritten".to_owned()]);
    }
    let error = faked.mint(&request).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the server has no policy of this name"),
        "{error}"
    );
}
