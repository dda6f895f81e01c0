//! Admission reviews: the API server's question before it stores a charter, and the answer.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::finding::Finding;
use crate::object::Object;

/// The largest review; it holds the new object and the old one.
///
/// # Limit
/// - for: a call of the admission webhook
/// - unit: bytes
/// - beyond: the call is refused with 413
/// - test: `a_hostile_review_is_refused`
pub const MAX_REVIEW_BYTES: usize = 8 << 20;
/// Number of warnings in an answer, which the API server shows to the applying user.
const WARNINGS_SHOWN: usize = 20;
/// The longest warning, in characters; the API server truncates warnings at 256 bytes.
const WARNING_CHARACTERS: usize = 200;
/// The longest refusal, in characters.
const REFUSAL_CHARACTERS: usize = 8000;

/// Returned for a body that is not an admission review of a charter.
#[derive(Debug, thiserror::Error)]
#[error("not an AdmissionReview of a Charter: {0}")]
pub struct Malformed(String);

/// An admission review of one charter.
#[derive(Debug)]
pub struct Review {
    uid: String,
    /// The object that would be stored.
    pub object: Object,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: String,
    operation: String,
    #[serde(default)]
    namespace: String,
    resource: Resource,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Resource {
    group: String,
    version: String,
    resource: String,
}

/// Parses the body of a webhook call.
///
/// # Errors
/// When the call is not about the creation or update of a charter.
pub fn reviewed(body: &[u8]) -> Result<Review, Malformed> {
    let not = |why: &dyn std::fmt::Display| Malformed(why.to_string());
    let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| not(&error))?;
    if raw.api_version != "admission.k8s.io/v1" || raw.kind != "AdmissionReview" {
        return Err(not(&"it has another kind, or another version"));
    }
    let Resource {
        group,
        version,
        resource,
    } = raw.request.resource;
    if (group.as_str(), version.as_str(), resource.as_str()) != ("lanyard.dev", "v1", "charters") {
        return Err(not(&"another resource"));
    }
    if !matches!(raw.request.operation.as_str(), "CREATE" | "UPDATE") {
        return Err(not(&"another operation"));
    }
    let mut object = Object::read(raw.request.object).map_err(|error| not(&error))?;
    object.origin.namespace = raw.request.namespace;
    if raw.request.operation == "CREATE" {
        // Creation times have whole seconds, so two objects of one second have no order. An object
        // that exists already counts as older than the one under review.
        object.created = i64::MAX;
    }
    Ok(Review {
        uid: raw.request.uid,
        object,
    })
}

impl Review {
    /// Renders the answer that the charter may be stored, with warnings.
    #[must_use]
    pub fn allowed(&self, warnings: &[Finding]) -> Value {
        let warnings = warnings.iter().take(WARNINGS_SHOWN);
        let warnings = warnings.map(|it| cut(&it.to_string(), WARNING_CHARACTERS));
        let warnings: Vec<String> = warnings.collect();
        self.answer(json!({"uid": self.uid, "allowed": true, "warnings": warnings}))
    }

    /// Renders the answer that the charter may not be stored, because of these findings.
    #[must_use]
    pub fn refused(&self, findings: &[Finding]) -> Value {
        let name = &self.object.origin.name;
        let errors = findings.iter().filter(|finding| finding.is_error());
        let lines: String = errors.map(|finding| format!("\n{finding}")).collect();
        let message = cut(
            &format!("charter `{name}` would not come into force:{lines}"),
            REFUSAL_CHARACTERS,
        );
        self.answer(json!({
            "uid": self.uid,
            "allowed": false,
            "status": {"code": 422, "reason": "Invalid", "message": message},
        }))
    }

    fn answer(&self, response: Value) -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        })
    }
}

fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lanyard_document::Code;

    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "q1",
                "kind": {"group": "lanyard.dev", "version": "v1", "kind": "Charter"},
                "resource": {"group": "lanyard.dev", "version": "v1", "resource": "charters"},
                "operation": "CREATE",
                "namespace": "shop",
                "name": "a",
                "object": {
                    "apiVersion": "lanyard.dev/v1", "kind": "Charter",
                    "metadata": {"name": "a", "namespace": "elsewhere", "uid": "u"}, "spec": {},
                },
            },
        })
    }

    #[test]
    fn a_review_is_about_the_namespace_that_the_api_server_names() {
        let review = reviewed(review().to_string().as_bytes()).unwrap();
        assert_eq!(review.object.origin.namespace, "shop");
        assert_eq!(review.allowed(&[])["response"]["uid"], "q1");
    }

    #[test]
    fn a_refusal_has_every_error_on_a_line_of_its_own() {
        let finding = |code: Code, path: &str| Finding {
            code,
            path: path.to_owned(),
            message: "why".to_owned(),
        };
        let findings = [
            finding(Code::Missing, "spec"),
            finding(Code::OneOwner, "spec.owners"),
            finding(Code::Undeclared, "spec.grants[0]"),
        ];
        let review = reviewed(review().to_string().as_bytes()).unwrap();
        let refused = review.refused(&findings);
        assert_eq!(refused["response"]["allowed"], false);
        assert_eq!(
            refused["response"]["status"]["message"],
            "charter `a` would not come into force:\nspec: error[LC012]: why\nspec.grants[0]: error[LC016]: why"
        );
        let many = vec![finding(Code::OneOwner, &"x".repeat(10_000)); 100];
        assert!(review.allowed(&many).to_string().len() < 8000);
        let many = vec![finding(Code::Missing, &"x".repeat(10_000)); 100];
        assert!(review.refused(&many).to_string().len() < 16_000);
    }

    #[test]
    fn a_hostile_review_is_refused() {
        let changed = |pointer: &str, value: Value| {
            let mut review = review();
            *review.pointer_mut(pointer).unwrap() = value;
            review.to_string()
        };
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [
            String::new(),
            "{}".to_owned(),
            "null".to_owned(),
            deep.clone(),
            changed("/kind", "Pod".into()),
            changed("/apiVersion", "admission.k8s.io/v1beta1".into()),
            changed("/request/operation", "DELETE".into()),
            changed("/request/operation", "CONNECT".into()),
            changed("/request/resource/resource", "secrets".into()),
            changed("/request/object", Value::Null),
            changed("/request/object", json!([])),
            changed("/request/object/metadata", json!({})),
            changed("/request", json!(7)),
        ] {
            let shown: String = body.chars().take(60).collect();
            assert!(reviewed(body.as_bytes()).is_err(), "{shown}");
        }
        // A spec that is nested too deeply is answered with a finding, not with an error of the
        // call.
        let nested = review()
            .to_string()
            .replacen("\"spec\":{}", &format!("\"spec\":{deep}"), 1);
        let review = reviewed(nested.as_bytes()).unwrap();
        assert!(matches!(
            review.object.content,
            crate::Content::Unreadable(_)
        ));
    }
}
