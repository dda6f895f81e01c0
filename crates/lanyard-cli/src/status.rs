//! `lanyard whoami`, `lanyard identity` and `lanyard status`.

use lanyard_client::{ClientError, Context, v1};

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
use crate::terminal::say;
use crate::text;

pub(crate) async fn whoami(global: &Global) -> Result<(), Outcome> {
    let me = global
        .client()
        .await?
        .who_am_i(v1::WhoAmIRequest {})
        .await?;
    let mut claims: Vec<_> = me.claims.iter().collect();
    claims.sort();
    let claims: Vec<_> = claims
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut pairs = vec![
        ("identity", me.identity),
        ("subject", me.subject),
        ("issuer", me.issuer),
        ("kind", me.kind.clone()),
    ];
    if me.kind == "agent" {
        pairs.extend([
            ("agent", me.agent),
            ("proved by", me.method),
            ("claims", claims.join(", ")),
            ("key", me.key),
        ]);
    } else {
        pairs.extend([
            ("roles", me.roles.join(", ")),
            ("logged in", shown(me.login_time)),
            ("acr", me.acr),
        ]);
        if !me.no_role_reason.is_empty() {
            pairs.push(("no role", me.no_role_reason));
        }
    }
    if !global.output.is_document() {
        pairs.retain(|(_, value)| !value.is_empty());
    }
    print_one(global.output, &pairs);
    Ok(())
}

pub(crate) fn identity(global: &Global) -> Result<(), Outcome> {
    let context = Context::load(&global.context()?).map_err(ClientError::from)?;
    let token = context.token().map_err(ClientError::from)?;
    println!("{}", token.expose());
    Ok(())
}

pub(crate) async fn status(global: &Global) -> Result<(), Outcome> {
    let status = global
        .client()
        .await?
        .get_status(v1::GetStatusRequest {})
        .await?;
    let issuing = issuing(&status);
    let engaged = status.engaged_kill_orders.to_string();
    let mut fields = vec![("issuing", issuing)];
    // For people the line above says what the condition comes to, and a root stays on its line of
    // 80 columns.
    let mut names = ["kill orders", "records", "root"];
    if global.output.is_document() {
        names = ["kill orders engaged", "journal records", "journal root"];
        let condition = crate::condition::name(&status).to_owned();
        fields.insert(0, ("condition", condition));
    }
    let emergencies = match status.emergencies.as_slice() {
        [] if !global.output.is_document() => "none".to_owned(),
        charters => charters.join(", "),
    };
    let [orders, records, root] = names;
    fields.extend([
        ("live leases", status.live_leases.to_string()),
        (orders, engaged),
        ("pauses", status.pauses.to_string()),
        ("emergencies", emergencies),
        (records, status.journal_size.to_string()),
        (root, status.journal_root.clone()),
        ("version", status.version.clone()),
    ]);
    print_one(global.output, &fields);
    for reason in &status.reasons {
        let (kind, remedy) = (&reason.kind, &reason.remedy);
        say(text::line(&format!("{kind}: {remedy}")));
    }
    for problem in &status.problems {
        say(format_args!("not in order: {}", text::line(problem)));
    }
    for problem in &status.charter_problems {
        say(format_args!("not in force: {}", text::line(problem)));
    }
    // A charter that ends is in force until then.
    for ending in &status.charters_ending {
        say(text::line(ending));
    }
    Ok(())
}

/// So many of what is stopped are named in the line.
const STOPS_NAMED: usize = 3;

/// Says what is issued now, by the condition, the kill orders and the pauses together.
pub(crate) fn issuing(status: &v1::GetStatusResponse) -> String {
    let mut why = Vec::new();
    if !status.not_issuing.is_empty() {
        let condition = crate::condition::name(status);
        why.push(format!("the broker is {condition}: {}", status.not_issuing));
    }
    // What stops most comes first: the end of a long line is what a small screen wraps.
    let mut orders: Vec<_> = status.stopped_by.iter().collect();
    orders.sort_by_key(|order| order.apply_only);
    why.extend(orders.into_iter().map(stopping));
    match issued(status) {
        v1::Issuing::No | v1::Issuing::Unspecified => format!("no: {}", why.join("; ")),
        v1::Issuing::PlanRoleOnly => format!("the plan role alone: {}", why.join("; ")),
        v1::Issuing::ApplyRoleOnly => format!("the apply role alone: {}", why.join("; ")),
        v1::Issuing::YesExcept | v1::Issuing::Yes => excepted(&status.except),
    }
}

/// Returns what the broker says that it issues; an older broker names only what stops everything.
fn issued(status: &v1::GetStatusResponse) -> v1::Issuing {
    let stops_both = status.stopped_by.iter().any(|order| !order.apply_only);
    match status.issuing() {
        v1::Issuing::Unspecified if stops_both || !status.not_issuing.is_empty() => v1::Issuing::No,
        v1::Issuing::Unspecified if !status.stopped_by.is_empty() => v1::Issuing::PlanRoleOnly,
        v1::Issuing::Unspecified => v1::Issuing::Yes,
        said @ (v1::Issuing::No
        | v1::Issuing::PlanRoleOnly
        | v1::Issuing::ApplyRoleOnly
        | v1::Issuing::YesExcept
        | v1::Issuing::Yes) => said,
    }
}

fn excepted(stops: &[v1::StoppingOrder]) -> String {
    let named = stops.iter().take(STOPS_NAMED);
    let mut except: Vec<String> = named
        .map(|stop| {
            // A pause says its role itself.
            let is_order = kind(stop) != "pause";
            let role = if is_order && stop.apply_only {
                ", role apply"
            } else {
                ""
            };
            format!("{}{role} ({} {})", stop.what, kind(stop), stop.id)
        })
        .collect();
    if stops.len() > except.len() {
        except.push("more: lanyard kill list, lanyard pause list".to_owned());
    }
    match except.as_slice() {
        [] => "yes".to_owned(),
        some => format!("yes, except {}", some.join(", ")),
    }
}

fn stopping(stop: &v1::StoppingOrder) -> String {
    let what = match (kind(stop), stop.apply_only) {
        ("pause", _) if !stop.what.is_empty() => stop.what.as_str(),
        (_, true) => "the apply role everywhere",
        (_, false) => "everything",
    };
    format!("{} {} stops {what} ({})", kind(stop), stop.id, stop.reason)
}

fn kind(stop: &v1::StoppingOrder) -> &'static str {
    if stop.id.starts_with("H-") {
        "pause"
    } else {
        "kill order"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str, apply_only: bool) -> v1::StoppingOrder {
        v1::StoppingOrder {
            id: id.to_owned(),
            reason: "records are lost".to_owned(),
            apply_only,
            what: "everything".to_owned(),
        }
    }

    #[test]
    fn s15_an_order_that_stops_everything_is_no_issuing() {
        let mut status = v1::GetStatusResponse::default();
        assert_eq!(issuing(&status), "yes");
        status.stopped_by = vec![order("K-2", true)];
        assert_eq!(
            issuing(&status),
            "the plan role alone: kill order K-2 stops the apply role everywhere (records are lost)"
        );
        status.stopped_by.push(order("K-1", false));
        assert_eq!(
            issuing(&status),
            "no: kill order K-1 stops everything (records are lost); kill order K-2 stops the apply role everywhere (records are lost)"
        );
        status.not_issuing = "the disk of the journal is full".to_owned();
        assert_eq!(
            issuing(&status),
            "no: the broker is revoke-only: the disk of the journal is full; kill order K-1 stops everything (records are lost); \
             kill order K-2 stops the apply role everywhere (records are lost)"
        );
    }

    #[test]
    fn u02_what_is_stopped_in_part_is_named() {
        let stop = |id: &str, what: &str, apply_only| v1::StoppingOrder {
            what: what.to_owned(),
            ..order(id, apply_only)
        };
        let mut status = v1::GetStatusResponse {
            except: vec![
                stop("K-1", "agent router", false),
                stop("H-1", "charter shop, role apply", true),
            ],
            ..v1::GetStatusResponse::default()
        };
        assert_eq!(
            issuing(&status),
            "yes, except agent router (kill order K-1), charter shop, role apply (pause H-1)"
        );
        status.except.extend([
            stop("K-3", "task T-1", false),
            stop("K-4", "task T-2", false),
        ]);
        let said = issuing(&status);
        assert!(
            said.ends_with(
                "task T-1 (kill order K-3), more: lanyard kill list, lanyard pause list"
            ),
            "{said}"
        );
        status.stopped_by = vec![order("H-2", false)];
        assert_eq!(
            issuing(&status),
            "no: pause H-2 stops everything (records are lost)"
        );
    }
}
