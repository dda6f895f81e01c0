//! Whether a value is a login, whatever it is called: by its form, by a setting within it, or by
//! the document that it is, as it stands and out of Base64.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::names;

/// The characters that the rest of a token is made of, and the fewest of them.
#[derive(Clone, Copy)]
enum Rest {
    /// Letters, digits and what stands between them in tokens.
    Any(usize),
    /// The characters of `Any` with a digit among them: the beginning is one of words as well.
    WithDigit(usize),
    /// Letters and digits alone, with a digit.
    Plain(usize),
}

/// Beginnings of tokens, at the beginning of a value or of any word in it.
const TOKENS: &[(&str, Rest)] = &[
    // Clouds.
    ("AIza", Rest::Any(12)),
    ("AKIA", Rest::Plain(12)),
    ("ASIA", Rest::Plain(12)),
    ("ABIA", Rest::Plain(12)),
    ("ABSK", Rest::WithDigit(20)),
    ("AKID", Rest::WithDigit(13)),
    ("LTAI", Rest::Plain(12)),
    ("GOCSPX-", Rest::Any(8)),
    ("ya29.", Rest::Any(8)),
    ("1//0", Rest::Any(20)),
    ("dop_v1_", Rest::Any(8)),
    ("doo_v1_", Rest::Any(8)),
    ("dor_v1_", Rest::Any(8)),
    ("bedrock-api-key-", Rest::Any(8)),
    ("v1.0-", Rest::WithDigit(32)),
    ("FlyV1 ", Rest::Any(8)),
    ("fo1_", Rest::Any(16)),
    ("fm1_", Rest::Any(16)),
    ("fm2_", Rest::Any(16)),
    // Code and packages.
    ("ghp_", Rest::Any(12)),
    ("gho_", Rest::Any(12)),
    ("ghr_", Rest::Any(12)),
    ("ghs_", Rest::Any(12)),
    ("ghu_", Rest::Any(12)),
    ("github_pat_", Rest::Any(8)),
    ("glpat-", Rest::Any(8)),
    ("gldt-", Rest::Any(8)),
    ("glrt-", Rest::Any(8)),
    ("glcbt-", Rest::Any(8)),
    ("glptt-", Rest::Any(8)),
    ("glft-", Rest::Any(8)),
    ("glsoat-", Rest::Any(8)),
    ("glimt-", Rest::Any(8)),
    ("glagent-", Rest::Any(8)),
    ("gloas-", Rest::Any(8)),
    ("glffct-", Rest::Any(8)),
    ("GR1348941", Rest::Any(8)),
    ("ATATT", Rest::WithDigit(16)),
    ("ATBB", Rest::WithDigit(16)),
    ("ATCTT", Rest::WithDigit(16)),
    ("npm_", Rest::Plain(12)),
    ("pypi-", Rest::WithDigit(12)),
    ("rubygems_", Rest::WithDigit(12)),
    ("oy2", Rest::Plain(40)),
    ("AKCp", Rest::Plain(20)),
    ("cmVmdGtu", Rest::Any(16)),
    ("dckr_pat_", Rest::Any(8)),
    ("dckr_oat_", Rest::Any(8)),
    ("CCIPAT_", Rest::Any(8)),
    ("CCIPRJ_", Rest::Any(8)),
    ("bkua_", Rest::Any(12)),
    ("pul-", Rest::WithDigit(12)),
    // Secrets.
    ("hvs.", Rest::Any(12)),
    ("hvb.", Rest::Any(12)),
    ("hvr.", Rest::Any(12)),
    ("s.", Rest::Plain(24)),
    ("b.", Rest::Plain(24)),
    ("dp.st.", Rest::Any(10)),
    ("dp.pt.", Rest::Any(10)),
    ("dp.ct.", Rest::Any(10)),
    ("dp.sa.", Rest::Any(10)),
    ("ops_eyJ", Rest::Any(8)),
    ("AGE-SECRET-KEY-", Rest::Any(8)),
    ("AGE-PLUGIN-", Rest::Any(16)),
    ("eyJ", Rest::Any(13)),
    // Data, observability, messages.
    ("dapi", Rest::WithDigit(12)),
    ("pscale_", Rest::WithDigit(12)),
    ("sbp_", Rest::WithDigit(12)),
    ("glsa_", Rest::Any(8)),
    ("glc_", Rest::Any(12)),
    ("NRAK-", Rest::Any(12)),
    ("sntrys_", Rest::Any(12)),
    ("sntryu_", Rest::Any(12)),
    ("phx_", Rest::WithDigit(12)),
    ("xoxa-", Rest::Any(8)),
    ("xoxb-", Rest::Any(8)),
    ("xoxc-", Rest::Any(8)),
    ("xoxd-", Rest::Any(8)),
    ("xoxe", Rest::WithDigit(12)),
    ("xoxp-", Rest::Any(8)),
    ("xoxr-", Rest::Any(8)),
    ("xoxs-", Rest::Any(8)),
    ("xapp-", Rest::Any(8)),
    ("SG.", Rest::WithDigit(12)),
    ("key-", Rest::Plain(24)),
    ("SK", Rest::Plain(32)),
    // Shops, models, tools.
    ("sk-", Rest::WithDigit(13)),
    ("rk-", Rest::WithDigit(13)),
    ("sk_live_", Rest::Any(8)),
    ("sk_test_", Rest::Any(8)),
    ("rk_live_", Rest::Any(8)),
    ("rk_test_", Rest::Any(8)),
    ("whsec_", Rest::Any(8)),
    ("shpat_", Rest::Any(8)),
    ("shpca_", Rest::Any(8)),
    ("shppa_", Rest::Any(8)),
    ("shpss_", Rest::Any(8)),
    ("sq0atp-", Rest::Any(8)),
    ("sq0csp-", Rest::Any(8)),
    ("hf_", Rest::Plain(20)),
    ("api_org_", Rest::Any(12)),
    ("r8_", Rest::Plain(20)),
    ("gsk_", Rest::Plain(20)),
    ("xai-", Rest::WithDigit(16)),
    ("nvapi-", Rest::Any(12)),
    ("pplx-", Rest::WithDigit(12)),
    ("tvly-", Rest::WithDigit(12)),
    ("lsv2_", Rest::WithDigit(16)),
    ("lin_api_", Rest::Any(12)),
    ("ntn_", Rest::WithDigit(16)),
    ("secret_", Rest::Plain(20)),
    ("figd_", Rest::Any(12)),
    ("PMAK-", Rest::Any(12)),
    ("tskey-", Rest::Any(8)),
    ("nfp_", Rest::Plain(16)),
    ("rpa_", Rest::Plain(16)),
    ("sgp_", Rest::Plain(16)),
    ("pat-na1-", Rest::Any(8)),
    ("pat-eu1-", Rest::Any(8)),
    ("mfa.", Rest::WithDigit(20)),
];

/// Parts of values, in lower case, that hold a login.
const PARTS: &[&str] = &[
    "private key-----",
    "private key block-----",
    "\"private_key\"",
    "service_account",
    "accountkey=",
    "sharedaccesskey=",
    "sharedaccesssignature=",
    "authorization:",
    "&sig=",
    "?sig=",
    "&key=",
    "?key=",
    "x-amz-signature=",
    "x-goog-signature=",
    ".atlasv1.",
    "x-oauth-basic",
    "netscape http cookie file",
    "hooks.slack.com/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    ".webhook.office.com/",
    "puttygen-",
    "putty-user-key-file",
];

/// So long is the name of the maker at the beginning of a token.
///
/// # No limit
/// Longer words before a line are words.
const MAKER_CHARACTERS: usize = 12;
/// Shorter runs of letters and digits are names.
const MIN_RANDOM_CHARACTERS: usize = 18;

/// Shorter texts are not taken out of Base64: too many words are such.
const MIN_BASE64_CHARACTERS: usize = 16;

/// Base64 with or without its padding, and whatever the last bits are.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Tells if somebody could log in with a value.
pub(super) fn is_a_login(value: &str) -> bool {
    shows_a_login(value) || base64_of(value)
}

fn shows_a_login(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || has_token(value)
        || has_scheme(&lower)
        || has_setting(value)
        || has_user_option(value)
        || has_user_info(value)
        || has_user_before_host(value)
        || is_document(&lower)
}

/// A token of a known form, where a word begins.
fn has_token(value: &str) -> bool {
    TOKENS.iter().any(|(beginning, rest)| {
        value.match_indices(beginning).any(|(at, _)| {
            begins_word(value, at)
                && value
                    .get(at + beginning.len()..)
                    .is_some_and(|text| is_rest(text, *rest))
        })
    }) || is_of_bot(value)
        || is_of_any_maker(value)
}

/// The form that makers of tokens have come to share: the maker in small letters, a line, and a run
/// of letters of both sizes and digits.
fn is_of_any_maker(value: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    let words = value.split(|letter: char| !is_letter(letter) && letter != '/');
    words.filter(|word| !word.contains('/')).any(|word| {
        let maker = word.split(['_', '-']).next().unwrap_or_default();
        let is_digest = ["sha1", "sha256", "sha384", "sha512", "md5"].contains(&maker);
        let runs = word.split(['_', '-']).skip(1);
        maker.starts_with(|letter: char| letter.is_ascii_lowercase())
            && !maker.contains(|letter: char| letter.is_ascii_uppercase())
            && maker.len() <= MAKER_CHARACTERS
            && !is_digest
            && runs.into_iter().any(is_random)
    })
}

fn is_random(run: &str) -> bool {
    let has = |is: fn(&u8) -> bool| run.bytes().any(|letter| is(&letter));
    run.len() >= MIN_RANDOM_CHARACTERS
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// Tells if a word begins here. In a path (`/sk-learn`) and within a name (`disk-`) none does.
fn begins_word(value: &str, at: usize) -> bool {
    let before = value.get(..at).and_then(|text| text.chars().next_back());
    before.is_none_or(|letter| !letter.is_ascii_alphanumeric() && !"_-".contains(letter))
}

fn is_rest(text: &str, rest: Rest) -> bool {
    let (plain, digit, least) = match rest {
        Rest::Any(least) => (false, false, least),
        Rest::WithDigit(least) => (false, true, least),
        Rest::Plain(least) => (true, true, least),
    };
    let end = text
        .find(|letter: char| {
            !(letter.is_ascii_alphanumeric() || !plain && "_-.+/=".contains(letter))
        })
        .unwrap_or(text.len());
    let rest = text.get(..end).unwrap_or_default();
    rest.len() >= least && (!digit || rest.contains(|letter: char| letter.is_ascii_digit()))
}

/// Telegram's form: a number, a colon, and 35 letters.
fn is_of_bot(value: &str) -> bool {
    value.match_indices(':').any(|(at, _)| {
        let before = value.get(..at).unwrap_or_default();
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let after = value.get(at + 1..).unwrap_or_default();
        (8..=12).contains(&digits) && after.starts_with("AA") && is_rest(after, Rest::WithDigit(30))
    })
}

/// `Bearer …` and `Basic …`, as a header has them.
fn has_scheme(lower: &str) -> bool {
    ["bearer ", "basic "].iter().any(|scheme| {
        lower.match_indices(scheme).any(|(at, _)| {
            let rest = lower.get(at + scheme.len()..).unwrap_or_default();
            // Words of a sentence follow one another without a digit or a sign.
            begins_word(lower, at)
                && is_rest(rest, Rest::Any(8))
                && (at == 0 && lower.len() >= MIN_BASE64_CHARACTERS
                    || rest
                        .split_whitespace()
                        .next()
                        .is_some_and(|word| word.contains(|c: char| !c.is_ascii_alphabetic())))
        })
    })
}

/// A setting whose name speaks of a login: `name=x`, `name = x`, `name: x`, `"name": "x"`, `--name
/// x`.
fn has_setting(value: &str) -> bool {
    let assigned = value.match_indices(['=', ':', '>']).any(|(at, sign)| {
        let before = value.get(..at).unwrap_or_default();
        let after = value.get(at + 1..).unwrap_or_default();
        let before = before
            .trim_end_matches([' ', '\t'])
            .trim_end_matches(['"', '\'', '\\']);
        let (around, name) = name_at_end(before);
        // `/keys:/next` is a list of folders, `x::token=` and `?token=` are settings.
        let path =
            sign == ":" && (around.ends_with(['/', '~', '.']) || after.starts_with(['/', ':']));
        // `<password>x</password>`; elsewhere the sign compares or redirects.
        let other = sign == ">" && (!around.ends_with('<') || after.starts_with('<'));
        let prose = sign == ":" && names::is_a_topic(name) && is_prose(after);
        !path && !other && !prose && !is_empty(after) && names::ends_with_a_login(name)
    });
    assigned || has_option(value)
}

/// A sentence: a space, and three words or more of letters.
fn is_prose(after: &str) -> bool {
    let line = after.lines().next().unwrap_or_default();
    let is_word = |word: &str| {
        word.trim_end_matches([',', '.', ':'])
            .bytes()
            .all(|it| it.is_ascii_alphabetic())
    };
    let words = line.split_whitespace();
    line.starts_with(' ') && words.clone().count() > 2 && words.take(3).all(is_word)
}

/// `--auth-token x`, `-password x`, and `password x` of a netrc.
fn has_option(value: &str) -> bool {
    let mut words = value.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let Some(next) = words.peek() else {
            return false;
        };
        let word = word.trim_start_matches(['"', '\'']);
        let name = word.trim_start_matches('-');
        let is_option = name.len() < word.len();
        if is_option && !next.starts_with('-') && names::ends_with_a_login(name) {
            return true;
        }
    }
    false
}

/// The letters of a name at the end of a text, and what is before them.
fn name_at_end(text: &str) -> (&str, &str) {
    let start = text
        .char_indices()
        .rev()
        .take_while(|(_, letter)| letter.is_ascii_alphanumeric() || "_-.".contains(*letter))
        .last()
        .map_or(text.len(), |(at, _)| at);
    text.split_at_checked(start).unwrap_or((text, ""))
}

/// Tells if nothing is assigned: `token=`, `"token": ""`, `token: null`.
fn is_empty(after: &str) -> bool {
    let after = after.trim_start_matches([' ', '\t', '=', '\\']);
    let text = after.trim_start_matches(['"', '\'']);
    let ends = |text: &str| {
        text.is_empty() || text.starts_with(['"', '\'', ',', ';', '&', '\n', '\r', ' ', '}', ')'])
    };
    ends(text) || text.strip_prefix("null").is_some_and(ends)
}

/// `-u user:pass`, `--user=user:pass`, and MySQL's `-u user -ppass`.
fn has_user_option(value: &str) -> bool {
    let words: Vec<&str> = value
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .collect();
    let options = [
        "-u",
        "-U",
        "--user",
        "--proxy-user",
        "--username",
        "--auth",
        "--creds",
    ];
    let apart = words.windows(2).any(
        |pair| matches!(pair, [option, user] if options.contains(option) && has_password(user)),
    );
    let joined = words.iter().any(|word| {
        let user = options.iter().find_map(|option| word.strip_prefix(option));
        user.is_some_and(|user| has_password(user.trim_start_matches('=')))
    });
    let of_mysql = words.contains(&"-u")
        && words.iter().any(|word| {
            let password = word.strip_prefix("-p");
            password.is_some_and(|password| password.starts_with(|c: char| !c.is_ascii_digit()))
        });
    apart || joined || of_mysql
}

/// Tells if a user has a password after a colon. `1000:1000` is a user and a group.
fn has_password(user: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    user.trim_matches(['"', '\''])
        .split_once(':')
        .is_some_and(|(user, password)| {
            let are_ids = is_number(user) && is_number(password);
            !are_ids && !password.is_empty() && !password.starts_with("//")
        })
}

/// Returns what stands before the host of each address in a text, and whether the address is one of
/// HTTP.
fn users(value: &str) -> impl Iterator<Item = (bool, &str)> {
    let schemes = value.split("://");
    schemes
        .zip(value.split("://").skip(1))
        .filter_map(|(before, rest)| {
            let scheme = before.to_ascii_lowercase();
            let is_http = scheme.ends_with("http") || scheme.ends_with("https");
            // A blank ends no address where a password follows: git takes one as it stands.
            let end = rest.find(['/', '?', '#', '\t', '\n', '"', '\'']);
            let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            let (user, _) = authority.rsplit_once('@')?;
            Some((is_http, user))
        })
}

/// Tells if an address names a user with a password before its host.
pub(super) fn has_user_with_password(value: &str) -> bool {
    users(value).any(|(_, user)| user.contains(':'))
}

/// Tells if an address names a user with a password before its host or, over HTTP, a user at all: a
/// token stands there as well.
pub(super) fn has_user_info(value: &str) -> bool {
    users(value).any(|(is_http, user)| user.contains(':') || is_http && !user.contains(' '))
}

/// `user:password@host` without a scheme, as the drivers of databases take it. `npm:name@2` is a
/// version.
fn has_user_before_host(value: &str) -> bool {
    let words = value.split(|letter: char| letter.is_whitespace() || "\"',;=".contains(letter));
    let mut words = words.filter(|word| !word.contains("://"));
    words.any(|word| {
        let Some((login, host)) = word.split_once('@') else {
            return false;
        };
        let Some((user, password)) = login.split_once(':') else {
            return false;
        };
        let named = |letter: char| letter.is_ascii_alphanumeric() || "_-.%+".contains(letter);
        let scheme = ["npm", "mailto", "file", "git", "link", "workspace", "sip"];
        !user.is_empty()
            && user.chars().all(named)
            && !scheme.contains(&user)
            && !password.is_empty()
            && !password.contains(['/', ':', '\\'])
            && host
                .starts_with(|letter: char| letter.is_ascii_alphabetic() || "([".contains(letter))
    })
}

/// A file of logins as a text: a kubeconfig, the logins of Docker's registries, a netrc.
fn is_document(lower: &str) -> bool {
    let kubeconfig = lower.contains("users")
        && (lower.contains("apiversion") || lower.contains("clusters"))
        && (lower.contains("users:") || lower.contains("users\""));
    let netrc = {
        let words: Vec<&str> = lower.split_whitespace().collect();
        let has = |word: &str| words.contains(&word);
        has("password") && (has("login") || has("machine"))
    };
    kubeconfig || lower.contains("\"auths\"") || netrc
}

/// Tells if a login shows once the value, or a word of it, is taken out of Base64.
fn base64_of(value: &str) -> bool {
    let whole: String = value.split_whitespace().collect();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "+/-_=".contains(letter);
    let decoded = decoded(&whole);
    // `user:password` of a header, for which a whole value alone is judged.
    let is_pair = decoded.as_deref().is_some_and(|bytes| {
        bytes.iter().all(u8::is_ascii_graphic) && std::str::from_utf8(bytes).is_ok_and(has_password)
    });
    is_pair
        || decoded.is_some_and(|bytes| holds_a_login(&bytes))
        || value
            .split(|letter: char| !is_letter(letter))
            .flat_map(|word| {
                [
                    word,
                    word.trim_start_matches(|letter| letter != '=')
                        .trim_start_matches('='),
                ]
            })
            .filter_map(self::decoded)
            .any(|bytes| holds_a_login(&bytes))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() < MIN_BASE64_CHARACTERS {
        return None;
    }
    let alphabets = [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE];
    alphabets
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).ok())
}

/// A text with a login, or a private key in DER: a sequence that begins with its version, 0 or 1
/// (RFC 5208, RFC 8017).
fn holds_a_login(bytes: &[u8]) -> bool {
    let is_key = match bytes {
        [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x81, _, rest @ ..] | [0x30, _, rest @ ..] => {
            matches!(rest, [2, 1, 0 | 1, ..])
        }
        _ => false,
    };
    is_key || std::str::from_utf8(bytes).is_ok_and(shows_a_login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b33_values_that_log_in_are_known_whatever_they_are_called() {
        let values = [
            "https://me:own@h.example/simple",
            "see postgres://me:own@db.example:5432/x",
            "ghp_0123456789abcdef0123",
            "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
            "AKIAIOSFODNN7EXAMPLE",
            "Server=db;User Id=sa;Password=own;",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b25l",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb25l",
            "{\"type\":\"service_account\",\"private_key\":\"x\"}",
            "Authorization: Basic b25lOm93bg==",
            "https://glpat-0123456789@h.example/a.git",
            "https://h.example/?private_token=0123",
            "https://h.example/c?sv=1&sig=0123",
            "-backend-config=secret_key=0123",
        ];
        for value in values {
            assert!(is_a_login(value), "{value}");
        }
        for value in [
            "https://h.example/a@b:c",
            "me@h.example",
            "ssh://git@h.example/a.git",
            "git@h.example:a/b.git",
            "eyJ",
            "sk-ip",
        ] {
            assert!(!is_a_login(value), "{value}");
        }
    }

    #[test]
    fn b33_a_user_before_a_host_is_known_by_one_reading_of_addresses() {
        for (value, of_http, with_password) in [
            ("https://me:own@h.example/a", true, true),
            ("HTTPS://me:own@h.example", true, true),
            ("https://token@h.example/a", true, false),
            ("ssh://git@h.example/a", false, false),
            ("ssh://git:own@h.example/a", true, true),
            ("://me:own@h.example", true, true),
            ("https://me:o wn@h.example", true, true),
            ("https://me:o@wn@h.example", true, true),
            ("https://h.example/a@b:c", false, false),
            ("https://h.example?a=b:c@d", false, false),
            ("http://h.example and me@i.example", false, false),
            ("\"https://h.example\", \"me:own@i\"", false, false),
            ("me:own@h.example", false, false),
            ("", false, false),
        ] {
            assert_eq!(has_user_info(value), of_http, "{value}");
            assert_eq!(has_user_with_password(value), with_password, "{value}");
        }
    }

    #[test]
    fn b33_a_token_is_known_wherever_a_word_begins() {
        for token in [
            "ghp_0123456789abcdef0123CANARY",
            "glpat-CANARY0123456789",
            "sk_live_CANARY0123456789",
            "SG.CANARY.0123456789",
            "AGE-SECRET-KEY-1CANARY0123456789",
            "glsa_CANARY0123456789",
            "dapiCANARY0123456789",
            "CANARY0123.atlasv1.0123456789",
            "dckr_pat_CANARY0123456789",
            "s.CANARY012345678901234567",
            "hf_CANARY0123456789abcdef",
            "sk-proj-CANARY0123456789",
            "tskey-auth-CANARY",
            "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
            "eyJhbGciOiJIUzI1NiJ9.CANARY.x",
        ] {
            for (before, after) in [
                ("", ""),
                ("access-tokens = github.com=", ""),
                ("-Dgpr.a=", " -Xmx1g"),
                ("-H X:", ""),
                ("a,", ",b"),
                ("{\"a\":\"", "\"}"),
                ("https://h.example/?a=", "&b=1"),
                ("a\n", "\n"),
            ] {
                let value = [before, token, after].concat();
                assert!(is_a_login(&value), "{value}");
            }
        }
    }

    #[test]
    fn b33_a_setting_within_a_value_is_judged_by_its_name() {
        for value in [
            "--auth-token x",
            "--password CANARY --user x",
            "--session CANARY",
            "host=db user=x password = CANARY",
            "cn=x,password:CANARY",
            "-var db_pass=CANARY",
            "-backend-config=secret=CANARY",
            "-u me:CANARYcurl",
            "--user=me:CANARY",
            "-ume:CANARY",
            "-u root -pCANARY",
            "-H PRIVATE-TOKEN:own",
            "api-key=CANARY",
            "me:own@tcp(db:3306)/shop",
            "me:own@db.example",
            "https://h.example/?apikey=own",
            "{\"clientSecret\": \"own\"}",
            "proxy-user: x\nproxy-passwd: y",
            "machine h login u password CANARYn",
            "{\"auths\":{\"r.example\":{\"auth\":\"dTpDQU5BUlk=\"}}}",
            "apiVersion: v1\nusers:\n- name: a\n  user:\n    token: CANARYkube\n    client-key-data: CANARY",
            "{\"apiVersion\":\"v1\",\"clusters\":[],\"users\":[]}",
            "https://hooks.slack.com/services/TEAM/BOT/CANARY",
            "0123:x-oauth-basic",
        ] {
            assert!(is_a_login(value), "{value}");
        }
    }

    #[test]
    fn b33_a_login_is_known_out_of_base64() {
        let engine = base64::engine::general_purpose::STANDARD;
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        for text in [
            "apiVersion: v1\nusers:\n- name: a\n",
            "{\n  \"type\": \"service_account\",\n  \"private_key\": \"CANARY\"\n}\n",
            "{\"auths\":{\"r.example\":{\"auth\":\"x\"}}}",
            "machine h login u password CANARY",
            "someuser:own-password",
            "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
        ] {
            let lines = engine.encode(text);
            let (one, two) = lines.split_at(lines.len() / 2);
            for value in [lines.clone(), url.encode(text), format!("{one}\n{two}")] {
                assert!(is_a_login(&value), "{text}: {value}");
            }
        }
        let named = format!("config={}", engine.encode("{\"auths\":{\"r.example\":{}}}"));
        assert!(is_a_login(&named));
        // PKCS#8 begins so; a certificate does not.
        assert!(is_a_login("MIIEvgIBADANBgkqhkiG9w0BAQEFAASC"));
        assert!(!is_a_login("MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkq"));
    }

    #[test]
    fn b33_values_of_settings_are_no_logins() {
        for value in [
            "/usr/local/bin:/home/me/.ssh/keys:/opt/token:/srv/auth",
            "rs=0:di=01;34:*.pem=00;31:*.key=01;31:ow=34;42",
            "\\[\\e]0;\\u@\\h: \\w\\a\\]$ ",
            " -j4 --jobserver-auth=3,4",
            "--jobserver-auth=fifo:/tmp/GMfifo1",
            "-backend-config=key=prod/terraform.tfstate",
            "--user 1000:1000",
            "npm/10.2.0 node/v20 linux x64 workspaces/false",
            "npm:react@18.2.0",
            "acme/auth:1.2",
            "registry.example/acme/token-service:1.2",
            "() {  ( alias; eval ${which_declare} ) | /usr/bin/which --tty-only $@\n}",
            "--max-old-space-size=4096",
            "-C link-arg=-fuse-ld=lld",
            "--seed=42",
            "tcp://127.0.0.1:2375",
            "unix:path=/run/user/1000/bus,guid=0123456789abcdef0123456789abcdef",
            "local/host:@/tmp/.ICE-unix/1,unix/host:/tmp/.ICE-unix/1",
            "arn:aws:iam::111111111111:role/deploy",
            "token=",
            "{\"token\": \"\"}",
            "a basic understanding",
            "0123456789abcdef0123456789abcdef01234567",
            "8d2c1c2e-1111-2222-3333-444455556666",
            "service.name=shop,service.version=1.2",
        ] {
            assert!(!is_a_login(value), "{value}");
        }
    }
}
