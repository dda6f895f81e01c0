//! Contexts whose identity an issuer's key file signs: docs/contexts.md.

use serde_json::json;

/// The broker's address, and the issuer's key. Files are relative to the context.
pub(crate) struct Caller<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) kill_endpoint: Option<&'a str>,
    pub(crate) ca_file: &'a str,
    pub(crate) key_file: &'a str,
    pub(crate) kid: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
}

impl Caller<'_> {
    /// Writes the context of a subject with these groups.
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
        let mut context =
            json!({"endpoint": self.endpoint, "ca_file": self.ca_file, "identity": identity});
        if let (Some(url), Some(fields)) = (self.kill_endpoint, context.as_object_mut()) {
            fields.insert("kill_endpoint".to_owned(), json!(url));
        }
        format!("{context:#}\n")
    }
}
