//! Turns AWS's refusals into messages for the broker's operator: cause, remedy, and the section of
//! the documentation.
//!
//! AWS's error texts can echo what was sent, so none of them is repeated (T50). The module searches
//! them for phrases of AWS's own and answers with sentences of its own.

use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use lanyard_core::provider::ProviderError;

use crate::PROVIDER;

/// The documentation page whose sections the messages name.
const DOC_PAGE: &str = "docs/aws-errors.md";
const ASSUME_ROLE: &str = "sts:AssumeRole";

/// The error codes that are shown: AWS's common ones, and those of the calls made here. Any other
/// code may be attacker-chosen text and could hold a secret (T50).
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html>
const KNOWN_CODES: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ConcurrentModification",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidInput",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "LimitExceeded",
    "MalformedPolicyDocument",
    "MissingAuthenticationToken",
    "NoSuchEntity",
    "NotAuthorized",
    "OptInRequired",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnmodifiableEntity",
    "UnrecognizedClientException",
    "ValidationError",
];

const THROTTLING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
];

pub(crate) fn refused(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

pub(crate) fn ambiguous(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Ambiguous {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

/// Converts an SDK error into a [`ProviderError`]: refused, throttled, or ambiguous, with a known
/// code and its meaning.
pub(crate) fn provider_error<E, R>(operation: &'static str, error: &SdkError<E, R>) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let code = error.code().unwrap_or("unnamed");
    let said = matches!(error, SdkError::ServiceError(_));
    // AWS may have carried out a call in which it reports a failure of its own, so such a call is
    // ambiguous and never a refusal.
    let broken = code == "unnamed"
        || code.starts_with("Internal")
        || matches!(code, "ServiceFailure" | "ServiceUnavailable");
    if said && THROTTLING.contains(&code) {
        ProviderError::Throttled {
            provider: PROVIDER,
            operation,
        }
    } else if said && !broken {
        refused(operation, &with_meaning(operation, code, error.message()))
    } else if matches!(error, SdkError::ConstructionFailure(_)) {
        refused(operation, "the request could not be built")
    } else if matches!(error, SdkError::TimeoutError(_)) {
        ambiguous(operation, "timeout")
    } else if let SdkError::DispatchFailure(failure) = error {
        let lost = failure.is_io() || failure.is_timeout();
        ambiguous(
            operation,
            &if lost {
                not_reached()
            } else {
                no_credentials()
            },
        )
    } else if said {
        ambiguous(operation, "the service failed")
    } else {
        ambiguous(operation, "incomplete answer")
    }
}

fn not_reached() -> String {
    format!(
        "the endpoint was not reached: check `region`, and that its endpoint is reachable from here ({DOC_PAGE}#not-reached)"
    )
}

fn no_credentials() -> String {
    format!(
        "not reached, or the broker has no credentials of its own: check the name of the profile, or the role of this machine \
         ({DOC_PAGE}#no-credentials)"
    )
}

/// Returns the code with its meaning; only the code if no meaning is known.
fn with_meaning(operation: &'static str, code: &str, message: Option<&str>) -> String {
    let Some(known) = KNOWN_CODES.iter().find(|known| **known == code) else {
        return "an unknown error code".to_owned();
    };
    match meaning(
        operation,
        known,
        &message.unwrap_or_default().to_lowercase(),
    ) {
        Some((what, section)) => format!("{known}: {what} ({DOC_PAGE}#{section})"),
        None => (*known).to_owned(),
    }
}

/// The cause with its remedy, and the section of the page. `said` is AWS's text in lower case.
fn meaning(operation: &str, code: &str, said: &str) -> Option<(String, &'static str)> {
    let has = |words: &str| said.contains(words);
    let (what, section) = match code {
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" => {
            return Some(denied(operation, said));
        }
        "ValidationError" if has("role chaining") || has("1 hour session limit") => (
            "the minting principal is itself a session of a role, and role chaining gives one hour at most; set `ttl` to 1h or less, \
             or mint as a user or as the role of the machine",
            "role-chaining",
        ),
        "ValidationError" if has("maxsessionduration") => (
            "the role's maximum session duration is shorter than the lease; raise it on the role, or shorten `ttl`",
            "maximum-session-duration",
        ),
        "ExpiredToken" | "ExpiredTokenException" => (
            "the broker's own credentials have expired; renew those of the profile, or use credentials that renew themselves",
            "expired-credentials",
        ),
        "SignatureDoesNotMatch"
            if !has("signature expired") && !has("not yet current") && !has("earlier than") =>
        {
            (
                "the secret key does not belong to the access key, or a proxy on the way changes the requests",
                "wrong-key",
            )
        }
        "RequestExpired" | "RequestTimeTooSkewed" | "SignatureDoesNotMatch" => (
            "the broker's clock and AWS's are more than five minutes apart; correct the broker's clock (`timedatectl set-ntp true`)",
            "clock",
        ),
        "AuthFailure" | "InvalidClientTokenId" | "UnrecognizedClientException" => (
            "AWS does not know the broker's access key: it was deleted or deactivated, belongs to another partition, or the region is \
             not enabled for the account",
            "unknown-key",
        ),
        "MissingAuthenticationToken" | "IncompleteSignature" => (
            "the request arrived without a complete signature: a proxy on the way may rewrite it",
            "wrong-key",
        ),
        "OptInRequired" | "RegionDisabledException" => (
            "STS is not active for the account in the region; enable it in the account's settings, or name another `region`",
            "region-disabled",
        ),
        "PackedPolicyTooLarge" => (
            "the session policy and the tags take more than STS packs into a session; shorten the grant's resources, or split the grant \
             (`lanyard charter compile`)",
            "packed-policy",
        ),
        "MalformedPolicyDocument" if operation == ASSUME_ROLE => (
            "STS refuses the session policy; an ARN or an action of the grant is malformed (`lanyard charter compile` shows the policy)",
            "malformed-policy",
        ),
        "MalformedPolicyDocument" => (
            "IAM refuses the deny policy; the log has its text",
            "malformed-policy",
        ),
        "LimitExceeded" => (
            "the inline policies of the role are full (10,240 characters together); remove policies that others wrote there",
            "inline-policies",
        ),
        "NoSuchEntity" => (
            "the account has no such role; compare the ARN of the target with `aws iam get-role`",
            "no-such-role",
        ),
        "UnmodifiableEntity" => (
            "the role belongs to an AWS service, and its policies cannot be changed; name a role of your own",
            "no-such-role",
        ),
        "ConcurrentModification" => (
            "another process is changing the role at this moment; the call is repeated",
            "inline-policies",
        ),
        _ => return None,
    };
    Some((what.to_owned(), section))
}

/// The policy that denied the call, as far as AWS's text tells: SCP, boundary, trust policy or the
/// principal's own.
fn denied(operation: &str, said: &str) -> (String, &'static str) {
    let has = |words: &str| said.contains(words);
    if has("service control policy") || has("resource control policy") {
        let what = "a policy of the organisation (SCP or RCP) denies it; ask whoever runs the organisation";
        return (what.to_owned(), "organisation");
    }
    if has("vpc endpoint policy") {
        let what = "the policy of the VPC endpoint on the way to AWS does not allow it; allow the action on the endpoint";
        return (what.to_owned(), "endpoint-policy");
    }
    if operation != ASSUME_ROLE {
        let what = if has("permissions boundary") {
            "the permissions boundary of the revoking principal does not allow it"
        } else if has("explicit deny") {
            "a policy of the revoking principal denies it explicitly"
        } else {
            "the policy of the revoking principal does not allow it: compare it with docs/aws/revoker-policy.json; the roles need the \
             boundary that it names"
        };
        return (what.to_owned(), "revoker");
    }
    let (action, section) = if has("sts:tagsession") {
        ("sts:TagSession", "tag-session")
    } else if has("sts:setsourceidentity") {
        ("sts:SetSourceIdentity", "source-identity")
    } else {
        (ASSUME_ROLE, "trust-policy")
    };
    let what = if has("permissions boundary") {
        format!("the permissions boundary of the minting principal does not allow {action}")
    } else if has("session policy") {
        format!(
            "the minting principal is a session whose own session policy does not allow {action}: give the broker a session without \
             one, or a user's keys"
        )
    } else if has("explicit deny") {
        format!(
            "a policy denies {action} explicitly: look at the role's trust policy and at those of the minting principal"
        )
    } else if has("no identity-based policy") {
        format!(
            "the policy of the minting principal does not allow {action} on the role: compare it with docs/aws/minter-policy.json"
        )
    } else if has("no resource-based policy") || section != "trust-policy" {
        format!(
            "the trust policy of the role does not allow {action} to the minting principal: compare it with \
             docs/aws/lease-role-trust.json"
        )
    } else {
        format!(
            "the trust policy of the role does not allow {action} to the minting principal, the principal's own policy does not, or \
             there is no such role: `lanyard charter lint --against` says which"
        )
    };
    (what, section)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/aws-errors.md");

    /// Operation, code and text as AWS writes them, then the expected message and section.
    const CASES: &[(&str, &str, &str, &str, &str)] = &[
        (
            ASSUME_ROLE,
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            "role chaining gives one hour at most",
            "role-chaining",
        ),
        (
            ASSUME_ROLE,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "maximum session duration",
            "maximum-session-duration",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: arn:aws:iam::1:user/c4nary is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/c4nary",
            "there is no such role",
            "trust-policy",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:TagSession on resource: arn:aws:iam::1:role/c4nary",
            "does not allow sts:TagSession",
            "tag-session",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:SetSourceIdentity on resource: c4nary because no resource-based policy allows the sts:SetSourceIdentity action",
            "trust policy of the role does not allow sts:SetSourceIdentity",
            "source-identity",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary because no identity-based policy allows the sts:AssumeRole action",
            "minter-policy.json",
            "trust-policy",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1",
            "policy of the organisation",
            "organisation",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary with an explicit deny in a resource control policy",
            "policy of the organisation",
            "organisation",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary because no VPC endpoint policy allows the sts:AssumeRole action",
            "policy of the VPC endpoint",
            "endpoint-policy",
        ),
        (
            "iam:PutRolePolicy",
            "AccessDenied",
            "User: c4nary is not authorized to perform: iam:PutRolePolicy on resource: c4nary with an explicit deny in a VPC endpoint policy",
            "policy of the VPC endpoint",
            "endpoint-policy",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary because no session policy allows the sts:AssumeRole action",
            "own session policy does not allow sts:AssumeRole",
            "trust-policy",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary because no permissions boundary allows the sts:AssumeRole action",
            "permissions boundary of the minting principal",
            "trust-policy",
        ),
        (
            ASSUME_ROLE,
            "AccessDenied",
            "User: c4nary is not authorized to perform: sts:AssumeRole on resource: c4nary with an explicit deny in an identity-based policy",
            "denies sts:AssumeRole explicitly",
            "trust-policy",
        ),
        (
            "iam:PutRolePolicy",
            "AccessDenied",
            "User: c4nary is not authorized to perform: iam:PutRolePolicy on resource: role c4nary because no identity-based policy allows the iam:PutRolePolicy action",
            "revoker-policy.json",
            "revoker",
        ),
        (
            ASSUME_ROLE,
            "SignatureDoesNotMatch",
            "Signature expired: 20270115T080000Z is now earlier than 20270115T081000Z (20270115T081500Z - 5 min.)",
            "five minutes apart",
            "clock",
        ),
        (
            ASSUME_ROLE,
            "SignatureDoesNotMatch",
            "Signature not yet current: 20270115T090000Z is still later than 20270115T081500Z",
            "five minutes apart",
            "clock",
        ),
        (
            ASSUME_ROLE,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            "secret key does not belong",
            "wrong-key",
        ),
        (
            ASSUME_ROLE,
            "RequestTimeTooSkewed",
            "",
            "five minutes apart",
            "clock",
        ),
        (
            ASSUME_ROLE,
            "ExpiredToken",
            "The security token included in the request is expired",
            "own credentials have expired",
            "expired-credentials",
        ),
        (
            ASSUME_ROLE,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "does not know the broker's access key",
            "unknown-key",
        ),
        (
            ASSUME_ROLE,
            "RegionDisabledException",
            "STS is not activated in this region for account:1.",
            "not active for the account in the region",
            "region-disabled",
        ),
        (
            ASSUME_ROLE,
            "PackedPolicyTooLarge",
            "",
            "split the grant",
            "packed-policy",
        ),
        (
            ASSUME_ROLE,
            "MalformedPolicyDocument",
            "",
            "refuses the session policy",
            "malformed-policy",
        ),
        (
            "iam:PutRolePolicy",
            "MalformedPolicyDocument",
            "",
            "deny policy",
            "malformed-policy",
        ),
        (
            "iam:PutRolePolicy",
            "LimitExceeded",
            "",
            "10,240 characters",
            "inline-policies",
        ),
        (
            "iam:ListRolePolicies",
            "NoSuchEntity",
            "",
            "no such role",
            "no-such-role",
        ),
    ];

    #[test]
    fn e40_a_refusal_of_aws_names_cause_remedy_and_page() {
        let headings: BTreeSet<String> = DOCUMENTED
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(|heading| heading.to_lowercase().replace(' ', "-"))
            .collect();
        let named: BTreeSet<String> = CASES
            .iter()
            .map(|(.., section)| (*section).to_owned())
            .collect();
        for (operation, code, text, cause, section) in CASES {
            let said = with_meaning(operation, code, Some(text));
            assert!(said.starts_with(&format!("{code}: ")), "{said}");
            assert!(said.contains(cause), "{code} {text}: {said}");
            assert!(said.ends_with(&format!("({DOC_PAGE}#{section})")), "{said}");
            assert!(!said.contains("c4nary"), "{said}");
        }
        let more = ["no-credentials", "not-reached", "throttling"].map(str::to_owned);
        let named: BTreeSet<String> = named.into_iter().chain(more).collect();
        assert_eq!(
            headings, named,
            "the page and the messages name the same sections"
        );
        assert_eq!(
            with_meaning(ASSUME_ROLE, "Chosen c4nary", None),
            "an unknown error code"
        );
        assert_eq!(
            with_meaning(ASSUME_ROLE, "InvalidAction", Some("c4nary")),
            "InvalidAction"
        );
    }
}
