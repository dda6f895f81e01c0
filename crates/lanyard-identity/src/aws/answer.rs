//! Strict parsing of the answer of STS: one `GetCallerIdentityResponse`.
//!
//! The documented form is XML in STS's namespace (AWS STS API reference, "GetCallerIdentity").

use lanyard_vocabulary::identity::Identity;
use roxmltree::{Document, Node, ParsingOptions};

use super::{AccountId, AwsCallers, Region, RoleArn, entity};

/// Largest answer of STS. The longest ARN has 2,048 characters.
///
/// # Limit
/// - for: an answer of STS
/// - unit: bytes
/// - beyond: the caller is refused
/// - test: `an_answer_is_bounded_in_size_and_depth`
const MAX_ANSWER_BYTES: usize = 8 * 1024;
/// XML nodes of an answer of STS. A real answer has thirteen.
///
/// # Limit
/// - for: an answer of STS
/// - unit: parts
/// - beyond: the caller is refused
/// - test: `an_answer_is_bounded_in_size_and_depth`
const MAX_ANSWER_NODES: u32 = 32;
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An answer of STS that identifies no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedAnswer {
    /// STS refused the request with this HTTP status.
    #[error("STS answered {0}")]
    Status(u16),
    /// The body is not a `GetCallerIdentityResponse` in its documented form.
    #[error("the answer of STS does not have the expected form")]
    Form,
    /// The account, the ARN and the user id contradict one another.
    #[error("the answer of STS contradicts itself")]
    Inconsistent,
    /// The configuration does not name the account.
    #[error("the caller's account is not configured")]
    Account,
    /// The caller is neither a role session nor a user: for instance the account's root or a
    /// federated user.
    #[error("the caller is neither a role nor a user")]
    Principal,
    /// The session belongs to a role that the broker issues credentials for.
    #[error("the caller's role is a lease role")]
    LeaseRole,
}

/// The caller of a signed request, as STS names it.
///
/// The issuer of the [`Identity`] is `aws:<account>`, the subject is the IAM ARN of the user or of
/// the session's role. The ARN of a session omits the role's path, so the subject never has one:
/// `arn:aws:iam::<account>:role/<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    account: AccountId,
    subject: String,
    session: Option<String>,
    unique_id: String,
}

impl CallerIdentity {
    /// Parses the answer of the STS of `region`, and checks account and role against `callers`.
    ///
    /// # Errors
    /// See [`RejectedAnswer`].
    pub fn parse(
        status: u16,
        body: &[u8],
        region: &Region,
        callers: &AwsCallers,
    ) -> Result<Self, RejectedAnswer> {
        if status != 200 {
            return Err(RejectedAnswer::Status(status));
        }
        let parts = Parts::read(body).ok_or(RejectedAnswer::Form)?;
        let account: AccountId = parts.account.parse().map_err(|_| RejectedAnswer::Form)?;
        let principal = Principal::parse(&parts.arn, region.partition(), &account)?;
        let unique_id = principal.unique_id(&parts.user_id)?;
        if !callers.accounts.contains(&account) {
            return Err(RejectedAnswer::Account);
        }
        if let Principal::Session { role, .. } = &principal
            && callers
                .lease_roles
                .contains(&RoleArn::new(account.clone(), role))
        {
            return Err(RejectedAnswer::LeaseRole);
        }
        let prefix = format!("arn:{}:iam::{}", region.partition(), account.as_str());
        let (subject, session) = match principal {
            Principal::Session { role, session } => {
                (format!("{prefix}:role/{role}"), Some((*session).to_owned()))
            }
            Principal::User { path_and_name } => (format!("{prefix}:user/{path_and_name}"), None),
        };
        Ok(Self {
            subject,
            session,
            unique_id: unique_id.to_owned(),
            account,
        })
    }

    /// Returns the identity in the form that charters name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            issuer: format!("aws:{}", self.account.as_str()),
            subject: self.subject.clone(),
        }
    }

    /// Returns the session name of a role session. Everyone who may assume the role chooses this
    /// name freely, so it is recorded and proves nothing.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Returns the unique id of the role or user. A role or user that is created again under the
    /// same name has another id.
    #[must_use]
    pub fn unique_id(&self) -> &str {
        &self.unique_id
    }
}

struct Parts {
    account: String,
    arn: String,
    user_id: String,
}

impl Parts {
    /// Extracts the three values. Anything but elements and text is refused: two XML parsers may
    /// disagree about comments, CDATA sections, entities and processing instructions.
    fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let plain = text.len() <= MAX_ANSWER_BYTES && text.is_ascii();
        let odd = text.contains("<!") || text.contains("<?") || text.contains('&');
        if !plain || odd {
            return None;
        }
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_ANSWER_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options).ok()?;
        let response = document.root_element();
        is(response, "GetCallerIdentityResponse").then_some(())?;
        let [result, metadata] = elements(response)?;
        let named = is(result, "GetCallerIdentityResult") && is(metadata, "ResponseMetadata");
        named.then_some(())?;
        let [request] = elements(metadata)?;
        is(request, "RequestId").then_some(())?;
        let parts: [Node<'_, '_>; 3] = elements(result)?;
        let one = |name| {
            let found = parts.iter().find(|part| is(**part, name))?;
            leaf(*found)
        };
        Some(Self {
            account: one("Account")?,
            arn: one("Arn")?,
            user_id: one("UserId")?,
        })
    }
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.has_tag_name((NAMESPACE, name)) && node.attributes().len() == 0
}

/// Returns the child elements if there are exactly `N`, with nothing but white space between them.
fn elements<'a, 'input, const N: usize>(node: Node<'a, 'input>) -> Option<[Node<'a, 'input>; N]> {
    let blank = |node: &Node<'_, '_>| node.text().is_some_and(|text| text.trim().is_empty());
    let mut found = Vec::new();
    for child in node.children() {
        if child.is_element() {
            found.push(child);
        } else if !(child.is_text() && blank(&child)) {
            return None;
        }
    }
    found.try_into().ok()
}

/// Returns the text of an element that holds text alone.
fn leaf(node: Node<'_, '_>) -> Option<String> {
    let mut children = node.children();
    match (children.next(), children.next()) {
        (Some(only), None) if only.is_text() => only.text().map(str::to_owned),
        _ => None,
    }
}

enum Principal<'a> {
    Session { role: &'a str, session: &'a str },
    User { path_and_name: &'a str },
}

impl<'a> Principal<'a> {
    fn parse(arn: &'a str, partition: &str, account: &AccountId) -> Result<Self, RejectedAnswer> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let parts = <[&str; 6]>::try_from(parts).map_err(|_| RejectedAnswer::Form)?;
        let ["arn", of, service, "", number, resource] = parts else {
            return Err(RejectedAnswer::Form);
        };
        if of != partition || number != account.as_str() {
            return Err(RejectedAnswer::Inconsistent);
        }
        let principal = match (service, resource.split_once('/')) {
            ("sts", Some(("assumed-role", rest))) => rest
                .split_once('/')
                .and_then(|(role, session)| Some((entity(role)?, entity(session)?)))
                .map(|(role, session)| Self::Session { role, session }),
            ("iam", Some(("user", rest))) => is_user(rest).then_some(Self::User {
                path_and_name: rest,
            }),
            _ => None,
        };
        principal.ok_or(RejectedAnswer::Principal)
    }

    /// Extracts the unique id from `user_id`, if the rest of `user_id` agrees with the ARN.
    fn unique_id<'b>(&self, user_id: &'b str) -> Result<&'b str, RejectedAnswer> {
        let id = match (self, user_id.split_once(':')) {
            (Self::Session { session, .. }, Some((id, named))) if named == *session => id,
            (Self::User { .. }, None) => user_id,
            (Self::Session { .. } | Self::User { .. }, _) => {
                return Err(RejectedAnswer::Inconsistent);
            }
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if (16..=128).contains(&id.len()) && id.bytes().all(allowed) {
            Ok(id)
        } else {
            Err(RejectedAnswer::Form)
        }
    }
}

/// Checks a user's path and name against what IAM allows.
fn is_user(path_and_name: &str) -> bool {
    let (path, name) = path_and_name
        .rsplit_once('/')
        .map_or(("", path_and_name), |(path, name)| (path, name));
    path.len() <= 512 && path.bytes().all(|byte| byte.is_ascii_graphic()) && entity(name).is_some()
}
