//! `lanyard whoami`, `lanyard identity` and `lanyard status`.

use lanyard_client::{ClientError, Context, v1};

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::print_one;
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
    }
    print_one(global.output, &pairs);
    Ok(())
}

pub(crate) fn identity(global: &Global) -> Result<(), Outcome> {
    let context = Context::load(&global.context()?).map_err(ClientError::from)?;
    println!("{}", context.token().map_err(ClientError::from)?);
    Ok(())
}

pub(crate) async fn status(global: &Global) -> Result<(), Outcome> {
    let status = global
        .client()
        .await?
        .get_status(v1::GetStatusRequest {})
        .await?;
    let condition = crate::condition::name(&status).to_owned();
    let issuing = issuing(&status);
    print_one(
        global.output,
        &[
            ("condition", condition),
            ("issuing", issuing),
            ("live leases", status.live_leases.to_string()),
            (
                "kill orders engaged",
                status.engaged_kill_orders.to_string(),
            ),
            ("pauses", status.pauses.to_string()),
            ("emergencies", status.emergencies.join(", ")),
            ("journal records", status.journal_size.to_string()),
            ("journal root", status.journal_root),
            ("version", status.version),
        ],
    );
    for reason in &status.reasons {
        let (kind, remedy) = (&reason.kind, &reason.remedy);
        eprintln!("{}", text::line(&format!("{kind}: {remedy}")));
    }
    for problem in &status.problems {
        eprintln!("not in order: {}", text::line(problem));
    }
    for problem in &status.charter_problems {
        eprintln!("not in force: {}", text::line(problem));
    }
    Ok(())
}

/// The line that says what is issued now. An order that covers everything is no condition of the broker, and stops all issuing like one.
fn issuing(status: &v1::GetStatusResponse) -> String {
    let (plan_goes_on, all): (Vec<_>, Vec<_>) =
        status.stopped_by.iter().partition(|order| order.apply_only);
    let by = |orders: &[&v1::StoppingOrder], what: &str| {
        let orders = orders.iter();
        let said = orders.map(|it| format!("kill order {} stops {what} ({})", it.id, it.reason));
        said.collect::<Vec<_>>()
    };
    let mut why = by(&all, "everything");
    if !status.not_issuing.is_empty() {
        why.insert(0, status.not_issuing.clone());
    }
    if !why.is_empty() {
        return format!("no: {}", why.join("; "));
    }
    match by(&plan_goes_on, "the apply role everywhere") {
        orders if orders.is_empty() => "yes".to_owned(),
        orders => format!("the plan role alone: {}", orders.join("; ")),
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
            "no: kill order K-1 stops everything (records are lost)"
        );
        status.not_issuing = "the disk of the journal is full".to_owned();
        assert_eq!(
            issuing(&status),
            "no: the disk of the journal is full; kill order K-1 stops everything (records are lost)"
        );
    }
}
