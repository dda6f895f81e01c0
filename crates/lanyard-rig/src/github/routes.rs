//! The endpoints of the fake, one function each.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};

use super::app;
use super::http::{Request, Response};
use super::state::{Permissions, State, TOKEN_LIFETIME_SECONDS, Token, instant, rank};
use super::{APP_ID, Fault, INSTALLATION, OWNER};

/// Repositories that a token may name: page «REST API endpoints for GitHub Apps».
const REPOSITORIES_PER_TOKEN: usize = 500;
/// Largest accepted body in bytes.
const LARGEST: usize = 1024 * 1024;
/// The API version that GitHub Enterprise Server also has: page «API Versions».
const VERSION: &str = "2022-11-28";

/// The outcome of a request.
pub(crate) enum Outcome {
    Answer(Response),
    /// The request was carried out, and the connection breaks.
    Broken,
    /// The request was carried out, and no answer comes.
    Silence,
}

fn not_found() -> Response {
    Response::message(404, "Not Found")
}

fn invalid(what: &str) -> Response {
    Response::message(422, &format!("Invalid request.\n\n{what}"))
}

pub(crate) fn answer(state: &mut State, request: &Request) -> Outcome {
    let response = headers(request).and_then(|()| limited(state, request));
    let response = response.and_then(|()| routed(state, request));
    match response {
        Ok(outcome) => outcome,
        Err(refusal) => Outcome::Answer(refusal),
    }
}

/// Checks the headers: pages «Getting started with the REST API» and «API Versions». On the
/// broker's endpoints this is stricter than GitHub, which defaults to the oldest version and to
/// JSON.
fn headers(request: &Request) -> Result<(), Response> {
    const OF_THE_BROKER: [&str; 4] = ["app", "installation", "orgs", "users"];
    let first = request.path.first().map_or("", String::as_str);
    let strict = OF_THE_BROKER.contains(&first);
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let other = |name: &str, right: &str| {
        header(name).map_or(strict, |given| given != right && (strict || given != "*/*"))
    };
    if header("user-agent").is_none_or(str::is_empty) {
        let message = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return Err(Response::message(403, message));
    }
    if other("accept", "application/vnd.github+json") {
        let message = "Unsupported 'Accept' header: \"\". Must accept 'application/json'.";
        return Err(Response::message(415, message));
    }
    if other("x-github-api-version", VERSION) {
        return Err(Response::message(400, "API version not supported"));
    }
    if request.body.len() > LARGEST {
        return Err(Response::message(413, "Payload too big"));
    }
    Ok(())
}

/// Applies the rate limits and faults: page «Rate limits for the REST API».
fn limited(state: &mut State, request: &Request) -> Result<(), Response> {
    let ends_a_token = request.method == "DELETE";
    if state.has(Fault::OnlyRevocations) && !ends_a_token {
        return Ok(());
    }
    if state.meets(Fault::Throttled) {
        let slow = Response::message(429, "You have exceeded a secondary rate limit.");
        return Err(slow.with("retry-after", 120));
    }
    if state.meets(Fault::LimitReached) {
        let message = "API rate limit exceeded for installation ID 42.";
        let reset = state.now() + 1800;
        let full = Response::message(403, message).with("x-ratelimit-remaining", 0);
        return Err(full.with("x-ratelimit-reset", reset));
    }
    if state.meets(Fault::SecondaryLimit) {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        return Err(Response::message(403, message));
    }
    if state.meets(Fault::Down) {
        return Err(Response::message(502, "Server Error"));
    }
    if state.meets(Fault::Redirects) {
        let elsewhere = format!("http://127.0.0.1:1{}", request.target);
        return Err(Response::empty(307).with("location", elsewhere));
    }
    let bearer = request.headers.get("authorization");
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| state.tokens.contains_key(token))
        && state.once.remove(&Fault::NotReplicated)
    {
        return Err(Response::message(401, "Bad credentials"));
    }
    let makes_or_ends = ends_a_token || request.method == "POST";
    if makes_or_ends && state.meets(Fault::EchoesToken) {
        let echoed = request.headers.get("authorization");
        let echoed = echoed.map_or("", String::as_str);
        let message = format!("Validation Failed: {echoed} {}", state.repeats);
        return Err(Response::message(422, &message));
    }
    Ok(())
}

fn routed(state: &mut State, request: &Request) -> Result<Outcome, Response> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let response = match (request.method.as_str(), path.as_slice()) {
        ("GET", ["orgs", owner, "installation"]) => installation_of(state, request, owner),
        ("GET", ["users", _, "installation"]) => app::app(state, request).and(Err(not_found())),
        ("GET", ["repos", owner, name, "installation"]) => {
            app::app(state, request)?;
            known(state, owner, name)?;
            Ok(Response::json(200, &state.installation()))
        }
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            return access_token(state, request, id);
        }
        ("PUT", ["app", "installations", id, "suspended"]) => suspended(state, request, id),
        ("DELETE", ["installation", "token"]) => revoked(state, request),
        ("GET", ["installation", "repositories"]) => accessible(state, request),
        ("GET", ["repos", owner, name]) => {
            allowed(state, request, (owner, name), ("metadata", "read"))?;
            Ok(Response::json(200, &state.repository(name)))
        }
        ("GET", ["repos", owner, name, "rules", "branches", branch]) => {
            allowed(state, request, (owner, name), ("metadata", "read"))?;
            Ok(branch_rules(state, name, branch))
        }
        ("GET", ["repos", owner, name, "rulesets", id]) => {
            allowed(state, request, (owner, name), ("metadata", "read"))?;
            ruleset(state, name, id)
        }
        ("GET", ["repos", owner, name, "contents", file]) => {
            allowed(state, request, (owner, name), ("contents", "read"))?;
            content(state, name, file)
        }
        ("PUT", ["repos", owner, name, "contents", file]) => {
            allowed(state, request, (owner, name), ("contents", "write"))?;
            write(state, request, name, file)
        }
        ("POST", ["repos", owner, name, "pulls"]) => {
            allowed(state, request, (owner, name), ("pull_requests", "write"))?;
            open_pull(state, name)
        }
        ("PUT", ["repos", owner, name, "pulls", number, "merge"]) => {
            allowed(state, request, (owner, name), ("contents", "write"))?;
            merge(state, name, number)
        }
        _ => Err(not_found()),
    };
    response.map(Outcome::Answer)
}

fn known(state: &State, owner: &str, name: &str) -> Result<(), Response> {
    let there = state.installed && owner == OWNER && state.repositories.contains_key(name);
    there.then_some(()).ok_or_else(not_found)
}

fn installation_of(state: &State, request: &Request, owner: &str) -> Result<Response, Response> {
    app::app(state, request)?;
    if owner != OWNER || !state.installed {
        return Err(not_found());
    }
    Ok(Response::json(200, &state.installation()))
}

fn suspended(state: &mut State, request: &Request, id: &str) -> Result<Response, Response> {
    app::app(state, request)?;
    if id != INSTALLATION.to_string() {
        return Err(not_found());
    }
    state.suspended = true;
    Ok(Response::empty(204))
}

/// Parses the body and refuses members that the endpoint does not know.
fn members(request: &Request) -> Result<Map<String, Value>, Response> {
    const KNOWN: [&str; 3] = ["repositories", "repository_ids", "permissions"];
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| Response::message(400, "Problems parsing JSON"))?;
    let Value::Object(members) = body else {
        return Err(Response::message(400, "Body should be a JSON object"));
    };
    match members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        Some(unknown) => Err(invalid(&format!("\"{unknown}\" is not a permitted key."))),
        None => Ok(members),
    }
}

/// Reads the requested repositories. If the member is missing, the token reaches all repositories
/// of the installation.
fn asked_repositories(
    state: &State,
    members: &Map<String, Value>,
) -> Result<Option<BTreeSet<String>>, Response> {
    let Some(asked) = members.get("repositories") else {
        return Ok(None);
    };
    let list = asked.as_array().ok_or_else(|| invalid("not an array"))?;
    if list.len() > REPOSITORIES_PER_TOKEN {
        return Err(invalid("No more than 500 items are allowed."));
    }
    let mut names = BTreeSet::new();
    for name in list {
        let name = name.as_str().ok_or_else(|| invalid("not a string"))?;
        if !state.repositories.contains_key(name) {
            let message = "There is at least one repository that does not exist or is not accessible to the parent installation.";
            return Err(Response::message(422, message));
        }
        names.insert(name.to_owned());
    }
    // An empty list counts as a missing one.
    Ok((!names.is_empty()).then_some(names))
}

fn asked_permissions(
    state: &State,
    members: &Map<String, Value>,
) -> Result<Option<Permissions>, Response> {
    let Some(asked) = members.get("permissions") else {
        return Ok(None);
    };
    let asked = asked.as_object().ok_or_else(|| invalid("not an object"))?;
    let mut permissions = Permissions::new();
    for (name, access) in asked {
        let access = access.as_str().ok_or_else(|| invalid("not a string"))?;
        let granted = state.granted.get(name).map_or(0, |granted| rank(granted));
        if rank(access) > granted {
            let message = "The permissions requested are not granted to this installation.";
            return Err(Response::message(422, message));
        }
        permissions.insert(name.clone(), access.to_owned());
    }
    Ok((!permissions.is_empty()).then_some(permissions))
}

/// Creates a token, in GitHub's two formats by turns: opaque, and with a JWT inside.
fn fresh(count: usize) -> String {
    let mut bytes = [0_u8; 300];
    // Without randomness all tokens are equal, and the test that needs distinct ones fails.
    SystemRandom::new().fill(&mut bytes).ok();
    let text = URL_SAFE_NO_PAD.encode(bytes).replace('-', "x");
    let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    if count.is_multiple_of(2) {
        format!("ghs_{}", cut(0, 36).replace('_', "y"))
    } else {
        format!(
            "ghs_{APP_ID}_{}.{}.{}",
            cut(0, 40),
            cut(40, 300),
            cut(300, 400)
        )
    }
}

/// Endpoint «Create an installation access token for an app».
fn access_token(state: &mut State, request: &Request, id: &str) -> Result<Outcome, Response> {
    app::app(state, request)?;
    if id != INSTALLATION.to_string() || !state.installed {
        return Err(not_found());
    }
    if state.suspended {
        let message = "This installation has been suspended";
        return Err(Response::message(403, message));
    }
    let members = members(request)?;
    let repositories = asked_repositories(state, &members)?;
    let permissions = asked_permissions(state, &members)?;
    let mut permissions = permissions.unwrap_or_else(|| state.granted.clone());
    permissions.insert("metadata".to_owned(), "read".to_owned());
    if state.meets(Fault::WiderPermissions) {
        permissions.insert("issues".to_owned(), "write".to_owned());
    }
    let selected = !state.meets(Fault::EveryRepository) && repositories.is_some();
    let wider = state.meets(Fault::WiderRepositories);
    let all = || state.repositories.keys().cloned().collect::<BTreeSet<_>>();
    let repositories = repositories
        .filter(|_| selected && !wider)
        .unwrap_or_else(all);
    let now = state.now();
    let longer = if state.meets(Fault::LongerLife) {
        TOKEN_LIFETIME_SECONDS
    } else {
        0
    };
    let token = Token {
        made: now,
        expires: now + TOKEN_LIFETIME_SECONDS + longer,
        permissions,
        repositories,
    };
    let text = fresh(state.minted.len());
    let mut body = json!({
        "token": text,
        "expires_at": instant(token.expires),
        "permissions": token.permissions,
        "repository_selection": if selected { "selected" } else { "all" },
    });
    if selected && let Some(body) = body.as_object_mut() {
        let list = token.repositories.iter();
        let list: Vec<_> = list.map(|name| state.repository(name)).collect();
        body.insert("repositories".to_owned(), Value::Array(list));
    }
    if state.meets(Fault::HugeAnswer)
        && let Some(body) = body.as_object_mut()
    {
        body.insert("padding".to_owned(), "x".repeat(8 << 20).into());
    }
    state.tokens.insert(text.clone(), token);
    state.minted.push(text);
    if state.meets(Fault::LostAnswer) {
        return Ok(Outcome::Broken);
    }
    if state.meets(Fault::Silence) {
        return Ok(Outcome::Silence);
    }
    Ok(Outcome::Answer(Response::json(201, &body)))
}

/// Endpoint «Revoke an installation access token».
fn revoked(state: &mut State, request: &Request) -> Result<Response, Response> {
    let (text, _) = app::installation(state, request)?;
    if state.kept.remove(&text) || state.has(Fault::RevocationsFail) {
        return Err(Response::message(502, "Server Error"));
    }
    if !state.has(Fault::RevocationsIgnored) {
        state.tokens.remove(&text);
    }
    Ok(Response::empty(204))
}

/// Endpoint «List repositories accessible to the app installation», which needs no permission.
fn accessible(state: &State, request: &Request) -> Result<Response, Response> {
    let (_, token) = app::installation(state, request)?;
    let first = token.repositories.iter().next();
    let list: Vec<_> = first
        .map(|name| state.repository(name))
        .into_iter()
        .collect();
    let body = json!({
        "total_count": token.repositories.len(),
        "repository_selection": "selected",
        "repositories": list,
    });
    Ok(Response::json(200, &body))
}

/// Checks a permission: page «Permissions required for GitHub Apps». A repository outside the
/// token's reach does not exist for it.
fn allowed(
    state: &State,
    request: &Request,
    (owner, name): (&str, &str),
    (permission, access): (&str, &str),
) -> Result<(), Response> {
    let (_, token) = app::installation(state, request)?;
    known(state, owner, name)?;
    if !token.repositories.contains(name) {
        return Err(not_found());
    }
    let held = token.permissions.get(permission);
    if held.map_or(0, |held| rank(held)) < rank(access) {
        let message = "Resource not accessible by integration";
        return Err(Response::message(403, message));
    }
    Ok(())
}

/// Endpoint «Get rules for a branch»: lists rules of rulesets, and never the older branch
/// protection.
fn branch_rules(state: &State, name: &str, branch: &str) -> Response {
    let found = state.repositories.get(name).filter(|_| branch == "main");
    let mut rules = vec![json!({
        "type": "non_fast_forward", "ruleset_source_type": "Organization", "ruleset_source": OWNER, "ruleset_id": 7,
    })];
    if let Some(reviews) = found.and_then(|found| found.reviews.as_ref()) {
        rules.push(json!({
            "type": "pull_request",
            "ruleset_source_type": "Repository",
            "ruleset_source": format!("{OWNER}/{name}"),
            "ruleset_id": 8,
            "parameters": {
                "required_approving_review_count": reviews.count,
                "dismiss_stale_reviews_on_push": true,
                "require_code_owner_review": false,
                "require_last_push_approval": true,
                "required_review_thread_resolution": false,
            },
        }));
    }
    Response::json(200, &Value::Array(rules))
}

/// Endpoint «Get a repository ruleset».
fn ruleset(state: &State, name: &str, id: &str) -> Result<Response, Response> {
    let found = state.repositories.get(name);
    let reviews = found.and_then(|found| found.reviews.as_ref());
    let reviews = reviews.filter(|_| id == "8").ok_or_else(not_found)?;
    let mut body = json!({"id": 8, "name": "reviews", "target": "branch", "enforcement": "active"});
    if let (Some(bypass), Some(body)) = (reviews.bypass, body.as_object_mut()) {
        body.insert("current_user_can_bypass".to_owned(), bypass.into());
    }
    Ok(Response::json(200, &body))
}

/// Endpoint «Get repository content».
fn content(state: &State, name: &str, file: &str) -> Result<Response, Response> {
    let found = state
        .repositories
        .get(name)
        .and_then(|it| it.files.get(file));
    let text = found.ok_or_else(not_found)?;
    let body = json!({"type": "file", "encoding": "base64", "content": STANDARD.encode(text)});
    Ok(Response::json(200, &body))
}

/// Endpoint «Create or update file contents». A push to the default branch would meet the same
/// rules.
fn write(
    state: &mut State,
    request: &Request,
    name: &str,
    file: &str,
) -> Result<Response, Response> {
    let body: BTreeMap<String, String> = serde_json::from_slice(&request.body)
        .map_err(|_| Response::message(400, "Problems parsing JSON"))?;
    let content = body.get("content").map(|text| STANDARD.decode(text));
    let content = content
        .and_then(Result::ok)
        .ok_or_else(|| invalid("no content"))?;
    let repository = state.repositories.get_mut(name).ok_or_else(not_found)?;
    let onto_main = body.get("branch").is_none_or(|branch| branch == "main");
    if onto_main && demands(repository.reviews.as_ref()) {
        let message =
            "Repository rule violations found\n\nChanges must be made through a pull request.\n\n";
        return Err(Response::message(409, message));
    }
    let text = String::from_utf8_lossy(&content).into_owned();
    repository.files.insert(file.to_owned(), text);
    Ok(Response::json(201, &json!({"content": {"path": file}})))
}

fn demands(reviews: Option<&super::state::Reviews>) -> bool {
    let stays = |bypass: Option<&str>| bypass.is_none_or(|bypass| bypass == "never");
    reviews.is_some_and(|reviews| reviews.count > 0 && stays(reviews.bypass))
}

/// Endpoint «Create a pull request».
fn open_pull(state: &mut State, name: &str) -> Result<Response, Response> {
    let repository = state.repositories.get_mut(name).ok_or_else(not_found)?;
    repository.pulls.push(false);
    let number = repository.pulls.len();
    Ok(Response::json(
        201,
        &json!({"number": number, "state": "open"}),
    ))
}

/// Endpoint «Merge a pull request»: `contents: write` suffices unless a rule requires a review.
fn merge(state: &mut State, name: &str, number: &str) -> Result<Response, Response> {
    let repository = state.repositories.get_mut(name).ok_or_else(not_found)?;
    let at = number
        .parse::<usize>()
        .ok()
        .and_then(|it| it.checked_sub(1));
    let reviewed = !demands(repository.reviews.as_ref());
    let pull = at.and_then(|at| repository.pulls.get_mut(at));
    let pull = pull.ok_or_else(not_found)?;
    if !reviewed {
        let message = "At least 1 approving review is required by reviewers with write access.";
        return Err(Response::message(405, message));
    }
    *pull = true;
    Ok(Response::json(200, &json!({"merged": true})))
}
