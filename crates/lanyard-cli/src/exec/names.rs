//! Whether a name speaks of a login, by its words.
//!
//! A word ends at anything but a letter or a digit, and where a capital follows a small letter.
//! Digits at its end do not count, and the plural is the singular.

/// Words that speak of something to log in with, besides those with one of the [`ENDINGS`].
const WORDS: &[&str] = &[
    "2FA",
    "ASSERTION",
    "AUTHENTICATION",
    "AUTHENTIFICATION",
    "AUTHN",
    "AUTHORISATION",
    "AUTHORIZATION",
    "AUTHZ",
    "BASIC",
    "CRUMB",
    "CSRF",
    "DSN",
    "HOTP",
    "IDENTITY",
    "JKS",
    "JWK",
    "KEYFILE",
    "KEYRING",
    "KEYSTORE",
    "KEYTAB",
    "KUBECONFIG",
    "MFA",
    "MNEMONIC",
    "MSI",
    "NETRC",
    "OIDC",
    "OTP",
    "PASSCOMMAND",
    "PAT",
    "PFX",
    "PIN",
    "PSK",
    "PW",
    "SAML",
    "SAS",
    "SEED",
    "SID",
    "TOK",
    "TOTP",
    "XSRF",
];

/// Words in which no other word ends: `SSHKEY`, `DBPASS`, `GITHUBTOKEN`.
const ENDINGS: &[&str] = &[
    "AUTH",
    "BEARER",
    "COOKIE",
    "CRED",
    "JWT",
    "KEY",
    "KEYID",
    "LOGIN",
    "PASS",
    "PASSCODE",
    "PWD",
    "SESSID",
    "SESSION",
    "SESSIONID",
    "TOKEN",
    "TOKENFILE",
    "WEBHOOK",
];

/// Words with these endings that mean something else.
const OTHER_WORDS: &[&str] = &[
    "BYPASS",
    "COMPASS",
    "DONKEY",
    "ENCOMPASS",
    "HOCKEY",
    "HOTKEY",
    "JOCKEY",
    "MONKEY",
    "OBSESSION",
    "OVERPASS",
    "POSSESSION",
    "RENDERPASS",
    "SACRED",
    "SUBPASS",
    "SURPASS",
    "TURKEY",
    "UNDERPASS",
    "VALKEY",
    "WHISKEY",
];

/// The parts of a word that speak of a login wherever they stand: `PASSWORDFILE`, `CLIENTSECRETID`.
const PARTS: &[&str] = &[
    "ACCESSKEY",
    "ACCESSTOKEN",
    "APIKEY",
    "AUTHKEY",
    "AUTHTOKEN",
    "BASICAUTH",
    "CREDENTIAL",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORT",
    "PRIVATEKEY",
    "PRIVKEY",
    "SECRET",
];

/// Pairs of words: a client certificate, a connection string, a kubeconfig.
const PAIRS: &[(&str, &str)] = &[
    ("CLIENT", "CERT"),
    ("CLIENT", "CERTIFICATE"),
    ("CONNECTION", "STRING"),
    ("CONN", "STR"),
    ("ORIGIN", "CERT"),
    ("KUBE", "CONFIG"),
];

/// Words of an input of Terraform that say little unless they end its name. A plan made without an
/// input is another plan.
const WEAK_IN_INPUTS: &[&str] = &[
    "BASIC", "COOKIE", "IDENTITY", "LOGIN", "SEED", "SESSION", "WEBHOOK",
];

/// Words before `KEY` that make it one to log in with, in a setting within a value: `key=` alone is
/// a place there.
const KINDS_OF_KEY: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "ADMIN",
    "API",
    "APP",
    "APPLICATION",
    "AUTH",
    "CLIENT",
    "CONSUMER",
    "DEPLOY",
    "ENCRYPTION",
    "HOST",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "SECRET",
    "SERVICE",
    "SHARED",
    "SIGNING",
    "SSH",
    "STORAGE",
];

/// Words that say too little of a setting within a value: a session of a terminal, the seed of a
/// run.
const WEAK_IN_VALUES: &[&str] = &[
    "2FA",
    "ASSERTION",
    "BASIC",
    "CRUMB",
    "IDENTITY",
    "KEY",
    "KEYSTORE",
    "LOGIN",
    "MFA",
    "MSI",
    "OIDC",
    "PAT",
    "PIN",
    "SAML",
    "SEED",
    "SID",
    "WEBHOOK",
];

/// Names of logins that are topics of a change as well.
const TOPICS: &[&str] = &["AUTH", "COOKIE", "LOGIN", "OAUTH", "SESSION", "WEBHOOK"];

/// Tells if the name of a variable with this value speaks of a login.
pub(super) fn speaks_of_a_login(name: &str, value: &str) -> bool {
    let is_input = name.to_ascii_uppercase().starts_with("TF_VAR_");
    let is_number = value.parse::<u64>().is_ok();
    let words = words(name);
    let last = words.len().saturating_sub(1);
    let single = words.iter().enumerate().any(|(at, word)| {
        // Terraform's inputs name keys that are no secrets: `kms_key_id`, `key_name`.
        let weak =
            is_input && (word == "KEY" || at != last && WEAK_IN_INPUTS.contains(&word.as_str()));
        !weak && is_telling(word)
    });
    // A number of tokens is a limit of a model, and a seed that is a number is one of chance.
    let counts = is_number
        && parts(name).any(|part| matches!(part.to_ascii_uppercase().as_str(), "TOKENS" | "SEED"));
    let joined = parts(name)
        .map(|part| singular(part.to_ascii_uppercase()))
        .any(|part| !words.contains(&part) && is_telling(&part));
    let pair = words.windows(2).any(|pair| {
        PAIRS
            .iter()
            .any(|(one, two)| matches!(pair, [a, b] if a == one && b == two))
    });
    (single || joined) && !counts || pair
}

/// Tells if a variable of this name may name a file of settings. Git's are laid out by what `git`
/// makes of them.
pub(super) fn names_settings(name: &str) -> bool {
    let of_settings =
        |word: &String| word.ends_with("CONFIG") || word == "CFG" || word == "SETTING";
    !name.starts_with("GIT_CONFIG") && words(name).iter().any(of_settings)
}

/// Tells if the name of a setting is a topic as well, which prose has before a colon: `auth: show
/// the page`.
pub(super) fn is_a_topic(name: &str) -> bool {
    matches!(words(name).as_slice(), [word] if TOPICS.contains(&word.as_str()))
}

/// Tells if a setting within a value (`--auth-token X`, `db_pass=X`) is a login: its last word says
/// so.
pub(super) fn ends_with_a_login(name: &str) -> bool {
    let words = words(name);
    let [before @ .., last] = words.as_slice() else {
        return false;
    };
    let before = before.last().map_or("", String::as_str);
    match last.as_str() {
        // GNU make's, by which its children share its slots.
        "AUTH" if before == "JOBSERVER" => false,
        "KEY" => KINDS_OF_KEY.contains(&before),
        // `client-key-data` of a kubeconfig.
        "DATA" => before == "KEY",
        word => !WEAK_IN_VALUES.contains(&word) && is_telling(word),
    }
}

fn is_telling(word: &str) -> bool {
    WORDS.contains(&word) || ends_in_a_login(word) || PARTS.iter().any(|known| word.contains(known))
}

fn ends_in_a_login(word: &str) -> bool {
    !OTHER_WORDS.contains(&word) && ENDINGS.iter().any(|ending| word.ends_with(ending))
}

/// The parts between what is no letter and no digit.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
}

/// The words, in capitals and in the singular.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in parts(name) {
        let mut word = String::new();
        let mut small = false;
        for letter in part.chars() {
            if small && letter.is_ascii_uppercase() {
                words.push(std::mem::take(&mut word));
            }
            small = letter.is_ascii_lowercase();
            word.push(letter.to_ascii_uppercase());
        }
        words.push(word);
    }
    words.into_iter().map(singular).collect()
}

fn singular(word: String) -> String {
    let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let one = word.strip_suffix('S').filter(|one| !one.ends_with('S'));
    // What is all digits stays, and so does a word that is one in itself.
    match one {
        Some(one) if word != "SAS" => one.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b33_a_name_is_judged_by_its_words_with_and_without_a_separator() {
        let names = "BW_SESSION OP_SESSION_acme DBPASS SMTPPASS SSHKEY DEPLOYKEY SIGNINGKEY DB_PASSWORDS USER_CRED PASSWORDFILE \
            apiKeyId YT_COOKIES HTTP_BASIC NEXUS_BASICAUTH SESSION PHPSESSID JSESSIONID JENKINS_CRUMB TOTP PIN AUTHORIZATION AUTHZ \
            BASIC_AUTH HTTP_AUTHORIZATION AUTHENTICATION USER_PASSWORT HUBOT_PASSCODE APP_PASSKEY MY_PRIVKEY STORAGE_ACCOUNTKEY \
            SHAREDKEY LICENSEKEY ENCRYPTIONKEY CLIENTSECRETS MY_SECRETID APIKEYS APIKEY2 ACCESSTOKENS GOAUTH PROXYAUTH WALLET_MNEMONIC \
            OTP_SEED SLACK_WEBHOOK_URL ARM_USE_MSI dbPass githubToken userCreds myBearer SSHKEYS DB_CREDS2 TF_VAR_session TF_VAR_dbPass \
            TF_VAR_admin_login KUBE_CONFIG_DATA MAILPWD APP_SESSIONS";
        for name in names.split_whitespace() {
            assert!(speaks_of_a_login(name, "CANARY"), "{name}");
        }
    }

    #[test]
    fn b33_a_name_that_holds_such_a_word_by_chance_says_nothing() {
        let names = "KEYBOARD KEYMAP XKB_KEYMAP KEYTIMEOUT VALKEY_HOST MONKEY_PATCH BYPASS COMPASS_URL TOKENIZERS_PARALLELISM \
            GIT_AUTHOR_NAME XAUTHORITY SASS_PATH SSL_CERT_FILE PASSTHROUGH KEYCLOAK_URL LOGNAME COOKIECUTTER_CONFIG COMPAT \
            PYTHONHASHSEED SPIN MAPPING TF_VAR_session_duration TF_VAR_key_name TF_VAR_private_subnets CARGO_HOME AUTHOR SACRED";
        for name in names.split_whitespace() {
            assert!(!speaks_of_a_login(name, "some"), "{name}");
        }
        for (name, value) in [("MAX_OUTPUT_TOKENS", "8192"), ("RANDOM_SEED", "42")] {
            assert!(!speaks_of_a_login(name, value), "{name}");
            assert!(speaks_of_a_login(name, "CANARY"), "{name}");
        }
    }
}
