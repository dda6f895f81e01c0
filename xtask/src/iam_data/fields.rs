//! Judges the value of a field by the field's name: a credential, something that mostly has secrets
//! in it, a policy, or a role.

/// The endings of names that speak of a secret without holding one.
const ABOUT: &[&str] = &[
    "action",
    "age",
    "algorithm",
    "algorithms",
    "alias",
    "arn",
    "arns",
    "attributes",
    "audience",
    "audiences",
    "config",
    "count",
    "date",
    "days",
    "description",
    "domain",
    "domains",
    "duration",
    "enabled",
    "endpoint",
    "expiration",
    "expiry",
    "field",
    "format",
    "generation",
    "hash",
    "header",
    "id",
    "identifier",
    "ids",
    "info",
    "issuer",
    "kind",
    "label",
    "last",
    "length",
    "limit",
    "link",
    "location",
    "method",
    "methods",
    "mode",
    "name",
    "names",
    "origin",
    "parameter",
    "parameters",
    "path",
    "policy",
    "prefix",
    "prefixes",
    "provider",
    "purpose",
    "reason",
    "reference",
    "region",
    "required",
    "role",
    "rotation",
    "schema",
    "scopes",
    "service",
    "source",
    "spec",
    "stages",
    "state",
    "status",
    "strategy",
    "supported",
    "time",
    "type",
    "types",
    "uid",
    "units",
    "uri",
    "url",
    "urls",
    "usage",
    "validity",
    "version",
    "versions",
    "xpath",
];
/// The words before `token` in the name of a token that turns a page or tells two requests apart.
const PAGING: &[&str] = &[
    "backward",
    "change",
    "client",
    "concurrency",
    "continuation",
    "creation",
    "end",
    "forward",
    "idempotency",
    "lock",
    "more",
    "next",
    "page",
    "pagination",
    "prev",
    "previous",
    "request",
    "result",
    "resume",
    "revision",
    "sequence",
    "start",
    "starting",
    "stop",
    "sync",
    "update",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Credential,
    Secret,
}

/// A field of a request or an answer, with the names of the fields around it.
pub(super) struct Field {
    /// The operation that the request or the answer belongs to.
    pub(super) operation: String,
    pub(super) path: Vec<String>,
    pub(super) kind: String,
    pub(super) sensitive: bool,
    pub(super) closed: bool,
    pub(super) documentation: String,
    /// The keys that a map can have, where the model lists them.
    pub(super) keys: Vec<String>,
}

impl Field {
    pub(super) fn leaf(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    pub(super) fn shown(&self) -> String {
        self.path.join(".")
    }

    /// Tells whether the name of a field around this one contains one of `names`.
    fn is_in(&self, names: &[&str]) -> bool {
        self.path.iter().any(|part| {
            let part = part.to_ascii_lowercase();
            names.iter().any(|name| part.contains(name))
        })
    }

    pub(super) fn holds(&self) -> Option<Holds> {
        match self.kind.as_str() {
            _ if self.closed => None,
            "map" => self.map_holds(),
            "string" | "blob" => self.text_holds(),
            _ => None,
        }
    }

    fn map_holds(&self) -> Option<Holds> {
        let words = words(self.leaf());
        let has = |word: &str| words.iter().any(|it| it == word);
        let plain = self.leaf().to_ascii_lowercase();
        let environment = has("environment") && words.len() == 1
            || self.is_in(&["environment"]) && plain == "variables"
            || self.is_in(&["environmentvar", "envvar"])
            || plain == "environmentvariables";
        let settings = [
            "configuration",
            "options",
            "properties",
            "headers",
            "parameters",
            "details",
        ];
        let settings = self.sensitive && settings.iter().any(|word| has(word));
        (environment || settings).then_some(Holds::Secret)
    }

    fn text_holds(&self) -> Option<Holds> {
        let words = words(self.leaf());
        let has = |word: &str| words.iter().any(|it| it == word);
        let last = words.last().map_or("", String::as_str);
        let plain = self.leaf().to_ascii_lowercase();
        if !ABOUT.contains(&last) {
            let opens = [
                "password",
                "passwords",
                "passphrase",
                "passcode",
                "secret",
                "secrets",
                "credential",
                "credentials",
                "seed",
                "otp",
                "jwt",
            ];
            if opens.iter().any(|word| has(word))
                || is_token(self.leaf(), &words)
                || is_key(&words)
                || self.is_hidden_key(&words)
                || self.is_within_credential(&words, last)
                || is_code(&words)
            {
                return Some(Holds::Credential);
            }
            let shows = has("plaintext")
                || pair(&words, "user", "data")
                || plain == "userdata"
                || pair(&words, "connection", "string");
            if shows {
                return Some(Holds::Secret);
            }
        }
        let value = ["value", "values", "data"].contains(&plain.as_str());
        if value && self.is_in(&["userdata"]) || self.is_environment(&plain) {
            return Some(Holds::Secret);
        }
        if self.sensitive
            && (plain == "headervalue"
                || value
                    && self.is_in(&[
                        "secret",
                        "password",
                        "token",
                        "credential",
                        "header",
                        "apikey",
                        "auth",
                    ]))
        {
            return Some(Holds::Credential);
        }
        self.link(&words, last)
    }

    /// Recognizes a key that AWS marks as sensitive, other than those of tables and of KMS.
    fn is_hidden_key(&self, words: &[String]) -> bool {
        let other = [
            "attribute",
            "bookmark",
            "dedup",
            "filter",
            "foreign",
            "from",
            "group",
            "hash",
            "item",
            "kms",
            "metadata",
            "metric",
            "object",
            "parameter",
            "partition",
            "primary",
            "public",
            "query",
            "record",
            "routing",
            "sort",
            "tag",
            "to",
        ];
        let named = words.last().is_some_and(|last| last == "key");
        let alone = words.len() == 1 && self.path.len() > 1;
        self.sensitive
            && named
            && !alone
            && !other.iter().any(|it| words.iter().any(|word| word == it))
    }

    /// Recognizes a leaf whose own name says little, below a field that says what it is:
    /// `streamKey.value`, `PrivateKeys.Value`, `SessionKeys.AppSKey`.
    fn is_within_credential(&self, words: &[String], last: &str) -> bool {
        let plain = self.leaf().to_ascii_lowercase();
        let generic = ["value", "values", "data", "material"].contains(&plain.as_str());
        let key = last == "key" && words.len() > 1;
        let parent = self.path.iter().rev().nth(1);
        (generic || key) && parent.is_some_and(|parent| names_credential(parent))
    }

    fn is_environment(&self, plain: &str) -> bool {
        let around = self.path.iter().rev().skip(1).any(|part| {
            let part = part.to_ascii_lowercase();
            part == "environment" || part.contains("environmentoverride")
        });
        let value = ["value", "values"].contains(&plain);
        value && (around || self.is_in(&["environmentvar", "envvar"]))
    }

    fn link(&self, words: &[String], last: &str) -> Option<Holds> {
        let has = |word: &str| words.iter().any(|it| it == word);
        let link = ["url", "urls", "uri", "link", "location"].contains(&last);
        let logins = [
            "login",
            "signin",
            "federation",
            "embed",
            "authorized",
            "webhook",
        ];
        let address = ["url", "urls"].contains(&last);
        let login = logins.iter().any(|word| has(word))
            || pair(words, "sign", "in")
            || address && has("session")
            || self.sensitive
                && address
                && (has("stream") || has("authorization") && !has("endpoint"));
        if link && login {
            return Some(Holds::Credential);
        }
        let parent = self.path.iter().rev().nth(1).filter(|_| words.len() == 1);
        let parent = parent.map(|parent| self::words(parent)).unwrap_or_default();
        let around = |word: &str| has(word) || parent.iter().any(|it| it == word);
        let signed = around("presigned") || around("signed") || has("download") || has("upload");
        // An operation that only asks for an address answers with one that gives access.
        let asked = self::words(&self.operation).pop();
        let asked = self.path.len() == 1 && asked.is_some_and(|it| it == "url" || it == "urls");
        let signed = signed || address && asked;
        let said = ["presigned", "pre-signed", "signed url"];
        let said = said.iter().any(|it| self.documentation.contains(it));
        (link && (signed || said)).then_some(Holds::Secret)
    }

    /// Recognizes a policy about who may do what, as against one of lifetimes, scaling or
    /// protocols.
    pub(super) fn is_policy(&self) -> bool {
        if self.kind == "map" {
            let who = ["policy", "accesspolicy", "accesspolicies"];
            return self
                .keys
                .iter()
                .any(|key| who.contains(&key.to_ascii_lowercase().as_str()));
        }
        let plain = self.leaf().to_ascii_lowercase();
        let last = words(self.leaf()).pop().unwrap_or_default();
        let named = last == "policy"
            || last == "policies"
            || plain.contains("policydocument")
            || plain == "policytext";
        let other = [
            "lifecycle",
            "retention",
            "scaling",
            "dataprotection",
            "snapshot",
            "notification",
            "browser",
            "alpn",
            "ssl",
            "dns",
            "pull",
            "security",
            "upload",
            "session",
            "protocol",
            "experience",
            "attestation",
            "indexpolicy",
        ];
        let json = [
            "json",
            "resource-based",
            "resource policy",
            "access policy",
            "iam policy",
            "key policy",
            "policy document",
            "policy to attach",
            "trust policy",
            "the policy",
        ];
        self.kind == "string"
            && !self.closed
            && named
            && !other.iter().any(|word| plain.contains(word))
            && json.iter().any(|word| self.documentation.contains(word))
    }

    pub(super) fn is_role(&self) -> bool {
        let plain = self.leaf().to_ascii_lowercase();
        let words = words(self.leaf());
        let last = words.last().map_or("", String::as_str);
        let role = words.iter().any(|word| word == "role" || word == "roles");
        self.kind == "string"
            && !self.closed
            && (role && ["arn", "arns", "role"].contains(&last)
                || ["rolename", "iamrole"].contains(&plain.as_str())
                || plain.contains("instanceprofile"))
    }
}

fn pair(words: &[String], one: &str, two: &str) -> bool {
    words
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a == one && b == two))
}

fn is_token(leaf: &str, words: &[String]) -> bool {
    let at = words
        .iter()
        .position(|word| word == "token" || word == "tokens");
    let before = at
        .and_then(|at| at.checked_sub(1))
        .and_then(|at| words.get(at));
    let plain = leaf.to_ascii_lowercase();
    at.is_some()
        && !before.is_some_and(|word| PAGING.contains(&word.as_str()))
        && !plain.ends_with("nexttoken")
        && !plain.ends_with("clienttoken")
}

/// Tells whether a structure is named after a credential.
fn names_credential(name: &str) -> bool {
    let words = words(name);
    let last = words.last().map_or("", String::as_str);
    let opens = [
        "password",
        "passwords",
        "secret",
        "secrets",
        "credential",
        "credentials",
    ];
    let token = ["token", "tokens"].contains(&last) && is_token(name, &words);
    let key = ["key", "keys"].contains(&last) && is_key(&words);
    opens.contains(&last) || token || key
}

/// Tells whether an operation is named after a credential, which is all there is to judge by where
/// AWS publishes no shape.
pub(super) fn is_telling(operation: &str) -> bool {
    let words = words(operation);
    let [verb, rest @ ..] = words.as_slice() else {
        return false;
    };
    let has = |known: &[&str]| rest.iter().any(|word| known.contains(&word.as_str()));
    let opens = [
        "url",
        "urls",
        "token",
        "tokens",
        "key",
        "keys",
        "credential",
        "credentials",
        "secret",
        "secrets",
        "password",
        "passwords",
        "presigned",
        "login",
        "embed",
        "passphrase",
    ];
    let leads = [
        "connection",
        "session",
        "auth",
        "authorization",
        "certificate",
        "download",
        "upload",
        "link",
    ];
    let several = matches!(verb.as_str(), "list" | "search" | "count");
    has(&opens) || !several && has(&leads)
}

fn is_key(words: &[String]) -> bool {
    let kinds = [
        "private",
        "api",
        "access",
        "session",
        "auth",
        "shared",
        "license",
        "stream",
        "account",
        "data",
        "app",
        "nwk",
        "activation",
        "mac",
    ];
    let key = |kind: &str| pair(words, kind, "key") || pair(words, kind, "keys");
    let cipher = words
        .iter()
        .any(|word| word == "ciphertext" || word == "json");
    !cipher
        && (kinds.iter().any(|kind| key(kind))
            || pair(words, "key", "material")
            || words == ["psk"])
}

fn is_code(words: &[String]) -> bool {
    let kinds = ["unlock", "activation", "auth", "authorization", "pairing"];
    kinds.iter().any(|kind| pair(words, kind, "code"))
        || pair(words, "authorization", "data")
        || pair(words, "authentication", "material")
        || words == ["pin"]
}

/// Splits a name in camel case into words in lower case.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
        let after = chars.get(at + 1).copied();
        let lower = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase());
        let begins = !c.is_ascii_alphanumeric()
            || c.is_ascii_uppercase() && (lower(before) || lower(after))
            || c.is_ascii_digit() != before.is_some_and(|c| c.is_ascii_digit());
        if begins || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
