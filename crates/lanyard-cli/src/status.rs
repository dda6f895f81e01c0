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
    let issuing = if status.not_issuing.is_empty() {
        "yes".to_owned()
    } else {
        format!("no: {}", status.not_issuing)
    };
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
