//! `Debug` for the messages that carry secrets: it shows what may be shown (T49).

use std::fmt;

use crate::v1::{
    AwsCredential, BeginEnrolmentRequest, CompleteEnrolmentRequest, GitHubCredential,
    InviteAgentResponse, KubernetesCredential, OtherCredential, TokenCredential, VaultCredential,
    VaultSecretCredential,
};

impl fmt::Debug for TokenCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCredential").finish_non_exhaustive()
    }
}

impl fmt::Debug for AwsCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredential")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KubernetesCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesCredential")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VaultCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultCredential")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VaultSecretCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultSecretCredential")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GitHubCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubCredential")
            .field("host", &self.host)
            .field("owner", &self.owner)
            .field("repositories", &self.repositories)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OtherCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherCredential")
            .field("kind", &self.kind)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InviteAgentResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteAgentResponse")
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BeginEnrolmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeginEnrolmentRequest")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CompleteEnrolmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompleteEnrolmentRequest")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T49
    #[test]
    fn no_secret_is_printed() {
        let canary = || "canary".to_owned();
        let aws = AwsCredential {
            secret_access_key: canary(),
            session_token: canary(),
            ..AwsCredential::default()
        };
        let kubernetes = KubernetesCredential {
            token: canary(),
            ..KubernetesCredential::default()
        };
        let vault = VaultCredential {
            token: canary(),
            ..VaultCredential::default()
        };
        let secret = VaultSecretCredential {
            data: [("password".to_owned(), canary())].into(),
            ..VaultSecretCredential::default()
        };
        let github = GitHubCredential {
            token: canary(),
            ..GitHubCredential::default()
        };
        let other = OtherCredential {
            secrets: [("password".to_owned(), canary())].into(),
            ..OtherCredential::default()
        };
        let invited = InviteAgentResponse {
            join_token: canary(),
            ..InviteAgentResponse::default()
        };
        let begun = BeginEnrolmentRequest {
            join_token: canary(),
            ..BeginEnrolmentRequest::default()
        };
        let completed = CompleteEnrolmentRequest {
            join_token: canary(),
            ..CompleteEnrolmentRequest::default()
        };
        let shown = format!(
            "{:?}{aws:?}{kubernetes:?}{vault:?}{secret:?}{github:?}{other:?}{invited:?}{begun:?}{completed:?}",
            TokenCredential { jwt: canary() }
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
}
