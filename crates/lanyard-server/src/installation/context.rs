//! A context whose identity is signed with an issuer's key file: docs/contexts.md.

use serde_json::json;

/// Where the broker is, and what vouches for callers there. Files are relative to the context.
pub(crate) struct Caller<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) ca_file: &'a str,
    pub(crate) key_file: &'a str,
    pub(crate) kid: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
}

impl Caller<'_> {
    /// The context of a subject with these groups.
    pub(crate) fn context(&self, subject: &str, groups: &[&str]) -> String {
        let mut identity = json!({
            "key_file": self.key_file,
            "kid": self.kid,
            "issuer": self.issuer,
            "subject": subject,
            "audience": self.audience,
        });
        if let (false, Some(fields)) = (groups.is_empty(), identity.as_object_mut()) {
            fields.insert("groups".to_owned(), json!(groups));
        }
        let context =
            json!({"endpoint": self.endpoint, "ca_file": self.ca_file, "identity": identity});
        format!("{context:#}\n")
    }
}
