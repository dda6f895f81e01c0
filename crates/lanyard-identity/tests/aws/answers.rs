//! Reads answers of STS, honest and forged ones.

use lanyard_identity::aws::{CallerIdentity, RejectedAnswer};

use super::{ACCOUNT, callers};

const ROLE_ID: &str = "AROAIOSFODNN7EXAMPLE";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

fn response(result: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\">\n  <GetCallerIdentityResult>{result}</GetCallerIdentityResult>\n  \
         <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>\n</GetCallerIdentityResponse>\n"
    )
}

fn answer(arn: &str, user_id: &str, account: &str) -> String {
    response(&format!(
        "<Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{account}</Account>"
    ))
}

fn session(role: &str) -> String {
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/i-0123456789abcdef0");
    answer(&arn, &format!("{ROLE_ID}:i-0123456789abcdef0"), ACCOUNT)
}

fn parse(body: &str) -> Result<CallerIdentity, RejectedAnswer> {
    parse_of(body, "eu-west-1")
}

fn parse_of(body: &str, region: &str) -> Result<CallerIdentity, RejectedAnswer> {
    CallerIdentity::parse(200, body.as_bytes(), &region.parse().unwrap(), &callers())
}

#[test]
fn a_session_identifies_its_role_under_any_session_name() {
    let caller = parse(&session("orders-worker")).unwrap();
    let identity = caller.identity();
    assert_eq!(identity.issuer, "aws:123456789012");
    assert_eq!(
        identity.subject,
        "arn:aws:iam::123456789012:role/orders-worker"
    );
    assert_eq!(caller.session(), Some("i-0123456789abcdef0"));
    assert_eq!(caller.unique_id(), ROLE_ID);
}

#[test]
fn a_user_is_named_with_its_path() {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/division/team/Alice");
    let caller = parse(&answer(&arn, "AIDAIOSFODNN7EXAMPLE", ACCOUNT)).unwrap();
    assert_eq!(caller.identity().subject, arn);
    assert_eq!(caller.session(), None);
}

#[test]
fn another_partition_has_other_arns() {
    let arn = format!("arn:aws-cn:sts::{ACCOUNT}:assumed-role/worker/session");
    let body = answer(&arn, &format!("{ROLE_ID}:session"), ACCOUNT);
    let caller = parse_of(&body, "cn-north-1").unwrap();
    assert_eq!(
        caller.identity().subject,
        "arn:aws-cn:iam::123456789012:role/worker"
    );
    assert_eq!(parse(&body), Err(RejectedAnswer::Inconsistent));
}

// Project Zero: the answer to another action, in which the caller's own text forms a second answer.
#[test]
fn an_answer_nested_in_an_answer_is_refused() {
    let wanted = session("admin");
    let inner = wanted.trim_end();
    for body in [
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"{NAMESPACE}\"><AssumeRoleWithWebIdentityResult>\
             <SubjectFromWebIdentityToken>{inner}</SubjectFromWebIdentityToken></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>"
        ),
        format!(
            "{{\"AssumeRoleWithWebIdentityResponse\":{{\"AssumeRoleWithWebIdentityResult\":\
             {{\"SubjectFromWebIdentityToken\":\"{inner}\"}}}}}}"
        ),
        format!("text before {inner}"),
        format!("{inner} text behind"),
        format!("{inner}{inner}"),
        format!("<a>{inner}</a>"),
        response(inner),
        wanted.replace("GetCallerIdentityResponse", "AssumeRoleResponse"),
        wanted.replace("GetCallerIdentityResult", "AssumeRoleResult"),
        "{\"GetCallerIdentityResponse\":{\"GetCallerIdentityResult\":{\"Account\":\"123456789012\"}}}"
            .to_owned(),
        String::new(),
    ] {
        assert_eq!(parse(&body), Err(RejectedAnswer::Form), "{body}");
    }
}

// Two readers can disagree about one document: on a text with a comment in it, or on a repeated
// element.
#[test]
fn an_ambiguous_document_is_refused() {
    let honest = session("orders-worker");
    let arn = format!("<Arn>arn:aws:iam::{ACCOUNT}:user/admin</Arn>");
    for body in [
        honest.replace("orders-worker", "admin<!-- -->-not"),
        honest.replace("orders-worker", "admin<![CDATA[-not]]>"),
        honest.replace("orders-worker", "admin<b/>-not"),
        honest.replace("orders-worker", "admin<?x y?>"),
        honest.replace("orders-worker", "admin&#45;not"),
        honest.replace("orders-worker", "admin&amp;"),
        honest.replace("orders-worker", "ádmin"),
        honest.replace("<Arn>", "<Arn x=\"y\">"),
        honest.replace("<Arn>", &format!("{arn}<Arn>")),
        honest.replace("</Account>", &format!("</Account>{arn}")),
        honest
            .replace("<UserId>", "<userid>")
            .replace("</UserId>", "</userid>"),
        honest.replace("<Account>123456789012</Account>", ""),
        honest.replace("<Account>", "stray<Account>"),
        honest.replace(NAMESPACE, "https://evil.example/"),
        honest.replace(&format!(" xmlns=\"{NAMESPACE}\""), ""),
        honest.replace("<Arn>", "<Arn xmlns=\"https://evil.example/\">"),
        honest.replace("<ResponseMetadata>", "<ResponseMetadata><Arn/>"),
        honest.replace("123456789012</Account>", " 123456789012</Account>"),
        format!("{honest}<!-- -->"),
    ] {
        assert!(parse(&body).is_err(), "{body}");
    }
}

#[test]
fn a_document_type_and_its_entities_are_refused() {
    let honest = session("&role;");
    let bomb =
        "<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY role \"&b;&b;&b;\">";
    for prologue in [
        "<!DOCTYPE x [<!ENTITY role \"admin\">]>".to_owned(),
        "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">".to_owned(),
        format!("<!DOCTYPE x [{bomb}]>"),
    ] {
        let body = format!("{prologue}{honest}");
        assert_eq!(parse(&body), Err(RejectedAnswer::Form), "{body}");
    }
}

#[test]
fn an_answer_is_bounded_in_size_and_depth() {
    let honest = session("orders-worker");
    let wide = honest.replace("<Arn>", &format!("{}<Arn>", " ".repeat(9000)));
    let deep = format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000));
    let many = honest.replace("<Arn>", &format!("{}<Arn>", "<a/>".repeat(100)));
    for body in [wide, deep, many] {
        assert_eq!(parse(&body), Err(RejectedAnswer::Form));
    }
    let region = "eu-west-1".parse().unwrap();
    let bytes = CallerIdentity::parse(200, b"\xff\xfe<", &region, &callers());
    assert_eq!(bytes, Err(RejectedAnswer::Form));
}

#[test]
fn a_refusal_of_sts_identifies_no_caller() {
    let region = "eu-west-1".parse().unwrap();
    for status in [0, 100, 201, 204, 302, 400, 403, 500] {
        let body = session("orders-worker");
        let answer = CallerIdentity::parse(status, body.as_bytes(), &region, &callers());
        assert_eq!(answer, Err(RejectedAnswer::Status(status)));
    }
}

// CVE-2025-11621: a role of the same name in an account that is not configured.
#[test]
fn a_role_of_the_same_name_in_another_account_is_refused() {
    let arn = "arn:aws:sts::210987654321:assumed-role/orders-worker/session";
    let user_id = format!("{ROLE_ID}:session");
    let theirs = answer(arn, &user_id, "210987654321");
    assert_eq!(parse(&theirs), Err(RejectedAnswer::Account));
    let mixed = answer(arn, &user_id, ACCOUNT);
    assert_eq!(parse(&mixed), Err(RejectedAnswer::Inconsistent));
}

#[test]
fn neither_root_nor_federated_users_nor_services_are_callers() {
    for resource in [
        format!("arn:aws:iam::{ACCOUNT}:root"),
        format!("arn:aws:sts::{ACCOUNT}:federated-user/alice"),
        format!("arn:aws:sts::{ACCOUNT}:user/alice"),
        format!("arn:aws:iam::{ACCOUNT}:role/orders-worker"),
        format!("arn:aws:iam::{ACCOUNT}:assumed-role/orders-worker/session"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/orders-worker"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/path/orders-worker/session"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role//session"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/orders-worker/"),
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/aws:ec2-instance/i-0123"),
        format!("arn:aws:iam::{ACCOUNT}:user/"),
        format!("arn:aws:iam::{ACCOUNT}:user/a b"),
        format!("arn:aws:iam::{ACCOUNT}:group/admins"),
    ] {
        let body = answer(&resource, &format!("{ROLE_ID}:session"), ACCOUNT);
        assert_eq!(parse(&body), Err(RejectedAnswer::Principal), "{resource}");
    }
    for arn in [
        "",
        "arn:aws:iam",
        "urn:aws:iam::123456789012:user/x",
        "arn:aws:iam:eu-west-1:123456789012:user/x",
    ] {
        let body = answer(arn, "AIDAIOSFODNN7EXAMPLE", ACCOUNT);
        assert_eq!(parse(&body), Err(RejectedAnswer::Form), "{arn}");
    }
}

// Rule 15: a session that the broker issued cannot authenticate a caller, whatever the role's path
// or case.
#[test]
fn a_session_of_a_lease_role_is_refused() {
    for role in ["Orders-plan", "orders-plan", "ORDERS-PLAN"] {
        let refused = parse(&session(role));
        assert_eq!(refused, Err(RejectedAnswer::LeaseRole), "{role}");
    }
    assert!(parse(&session("orders-plans")).is_ok());
}

#[test]
fn an_id_that_is_not_the_arn_s_is_refused() {
    let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/worker/session");
    for id in [
        format!("{ROLE_ID}:another"),
        ROLE_ID.to_owned(),
        format!("{ROLE_ID}:session:session"),
    ] {
        let body = answer(&arn, &id, ACCOUNT);
        assert_eq!(parse(&body), Err(RejectedAnswer::Inconsistent), "{id}");
    }
    let user = format!("arn:aws:iam::{ACCOUNT}:user/alice");
    let body = answer(&user, &format!("{ROLE_ID}:alice"), ACCOUNT);
    assert_eq!(parse(&body), Err(RejectedAnswer::Inconsistent));
    for id in ["", "AIDA-IOSFODNN7EXAMPLE", "AIDA"] {
        assert_eq!(
            parse(&answer(&user, id, ACCOUNT)),
            Err(RejectedAnswer::Form),
            "{id}"
        );
    }
}
