//! `lanyard approval`.

use clap::Subcommand;
use lanyard_client::{Client, v1};
use lanyard_vocabulary::count::verb_for;

use crate::lease::subject;
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::plan::{effects_line, risk, sensitive};
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{Global, span, text};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the requests that wait for people, the oldest first.
    List {
        /// Also what was approved, denied, taken back, or is void, after what waits.
        #[arg(long)]
        all: bool,
    },
    /// Show a request: what, why, how risky, who has said yes, and the plan itself.
    Show {
        /// The id of the approval to show.
        id: String,
    },
    /// Watch the requests that wait for people, as they change.
    Watch,
    /// Say yes to a plan, by the digest that you were shown.
    Approve {
        /// The id of the approval to give.
        id: String,
        /// The digest that `lanyard approval show` printed.
        #[arg(long)]
        digest: String,
        /// The reason why you approve, in your words.
        #[arg(long, visible_alias = "reason")]
        comment: String,
        /// The number of sensitive values that change and that you were not shown.
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        acknowledge_sensitive: u32,
    },
    /// Say no; that is final.
    Deny {
        /// The id of the approval to deny.
        id: String,
        /// The reason; the agent is told.
        #[arg(long, visible_alias = "comment")]
        reason: String,
    },
    /// Take your own yes back, or as the agent that asked the whole request. What was issued under
    /// it goes on until its time.
    Withdraw {
        /// The id of the approval to withdraw.
        id: String,
        /// The reason of the withdrawal.
        #[arg(long, visible_alias = "comment")]
        reason: String,
    },
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let approval = match command {
        Command::List { all } => {
            let listed = client.list_approvals(v1::ListApprovalsRequest::default());
            return list(global, listed.await?.approvals, all);
        }
        Command::Show { id } => return show(global, client, id).await,
        Command::Watch => return watch(global, client).await,
        Command::Approve {
            id,
            digest,
            comment,
            acknowledge_sensitive,
        } => {
            let request = v1::ApproveRequest {
                id,
                plan_digest: digest,
                comment,
                acknowledged_sensitive: acknowledge_sensitive,
            };
            client.approve(request).await?.approval
        }
        Command::Deny { id, reason } => {
            let request = v1::DenyRequest { id, reason };
            client.deny(request).await?.approval
        }
        Command::Withdraw { id, reason } => {
            let request = v1::WithdrawRequest { id, reason };
            client.withdraw(request).await?.approval
        }
    };
    let approval = approval.unwrap_or_default();
    if global.output.is_document() {
        table(vec![approval]).print(global.output);
    } else {
        print_one(global.output, &answered(&approval));
    }
    Ok(())
}

/// Returns what became of a request by the answer that was given: field by field, so that nothing
/// of it is cut or folded into columns.
fn answered(approval: &v1::Approval) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("approval", approval.id.clone()),
        ("state", state(approval)),
        ("given", given(approval)),
        ("left", left(approval)),
        ("agent", approval.agent.clone()),
        (
            "grant",
            format!("{} in {}", approval.grant, approval.environment),
        ),
        ("summary", approval.summary.clone()),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

fn list(global: &Global, approvals: Vec<v1::Approval>, all: bool) -> Result<(), Outcome> {
    let (listed, waits, others) = waiting_first(approvals, all);
    match global.output {
        Output::Table => {
            let is_on_screen = Screen::columns(&std::io::stdout()).is_some();
            rows(&listed, all, is_on_screen).print(global.output);
        }
        Output::Json | Output::Jsonl | Output::Yaml | Output::Name => {
            table(listed).print(global.output);
        }
    }
    let hint = if all || others == 0 {
        String::new()
    } else {
        "; --all shows those too".to_owned()
    };
    global.hint(format_args!(
        "{waits} {} for people, {others} decided or void{hint}",
        verb_for(waits as u64, "waits", "wait")
    ));
    Ok(())
}

/// Puts the requests that wait first, the oldest before all, because somebody has to act on them.
/// Returns how many wait, and how many do not.
fn waiting_first(approvals: Vec<v1::Approval>, all: bool) -> (Vec<v1::Approval>, usize, usize) {
    let (mut listed, mut decided): (Vec<_>, Vec<_>) = approvals.into_iter().partition(is_waiting);
    let (waits, others) = (listed.len(), decided.len());
    let by_age = |approval: &v1::Approval| {
        let asked = approval.request_time.map(|at| (at.seconds, at.nanos));
        (asked, approval.id.clone())
    };
    listed.sort_by_key(by_age);
    decided.sort_by_key(by_age);
    if all {
        listed.extend(decided);
    }
    (listed, waits, others)
}

fn is_waiting(approval: &v1::Approval) -> bool {
    approval.void.is_empty() && approval.denied.is_empty() && !approval.complete
}

/// Lays out a line for each: what is asked for has the room that the rest leaves. Below what was
/// denied, or is void, stands why.
fn rows(approvals: &[v1::Approval], all: bool, is_on_screen: bool) -> Rows {
    let second = if all { key("state") } else { whole("left", 1) };
    let mut rows = Rows::of([
        key("approval"),
        second,
        whole("risk", 2),
        whole("given", 3),
        whole("agent", 5),
        prose("summary", 4, 12),
    ]);
    for approval in approvals {
        let (id, summary) = (approval.id.clone(), approval.summary.clone());
        let (risk, given) = (risk(approval.risk()).to_owned(), given(approval));
        let agent = subject(&approval.agent).to_owned();
        if !all {
            let left = span::until(approval.expire_time);
            rows.push([id, left, risk, given, agent, summary]);
            continue;
        }
        if !is_on_screen {
            rows.push([id, state(approval), risk, given, agent, summary]);
            continue;
        }
        let (state, why) = stands(approval);
        rows.push([id, state.to_owned(), risk, given, agent, summary]);
        if !why.is_empty() {
            rows.note(why.to_owned());
        }
    }
    rows
}

fn table(approvals: Vec<v1::Approval>) -> Rows {
    let mut rows = Rows::new(&[
        "approval", "state", "given", "needed", "risk", "what", "agent", "left", "plan", "digest",
        "summary",
    ]);
    for approval in approvals {
        rows.push([
            approval.id.clone(),
            state(&approval),
            approval.given.len().to_string(),
            approval.people_needed.to_string(),
            risk(approval.risk()).to_owned(),
            format!("{} in {}", approval.grant, approval.environment),
            approval.agent.clone(),
            left(&approval),
            approval.plan_id,
            approval.plan_digest,
            approval.summary,
        ]);
    }
    rows
}

fn state(approval: &v1::Approval) -> String {
    match stands(approval) {
        (state, "") => state.to_owned(),
        (state, why) => format!("{state}: {why}"),
    }
}

/// Returns the state of a request in one word, and the reason.
const fn stands(approval: &v1::Approval) -> (&'static str, &str) {
    if !approval.void.is_empty() {
        return ("void", approval.void.as_str());
    }
    match (approval.denied.is_empty(), approval.complete) {
        (false, _) => ("denied", approval.denied.as_str()),
        (true, true) => ("approved", ""),
        (true, false) => ("waiting", ""),
    }
}

fn given(approval: &v1::Approval) -> String {
    format!("{} of {}", approval.given.len(), approval.people_needed)
}

/// The time left for an answer; empty for a request that nobody can answer any more.
fn left(approval: &v1::Approval) -> String {
    if is_waiting(approval) {
        span::until(approval.expire_time)
    } else {
        String::new()
    }
}

/// The owners of the charter besides its technical owner.
fn other_owners(approval: &v1::Approval) -> String {
    let owners = approval.owners.as_ref();
    owners.map_or_else(String::new, |owners| {
        format!(
            "{} (business), {} (security)",
            owners.business, owners.security
        )
    })
}

/// Says who may approve, and who has to be among them.
fn who(approval: &v1::Approval) -> String {
    let from = match approval.groups.as_slice() {
        [] => "anybody who approves".to_owned(),
        groups => groups.join(", "),
    };
    match approval.also_groups.as_slice() {
        [] => from,
        also => format!("{from}; one of {}", also.join(" and one of ")),
    }
}

async fn show(global: &Global, mut client: Client, id: String) -> Result<(), Outcome> {
    let found = client.get_approval(v1::GetApprovalRequest { id }).await?;
    let approval = found.approval.unwrap_or_default();
    let id = approval.plan_id.clone();
    let shown = client.get_plan(v1::GetPlanRequest { id }).await?;
    let plan = shown.plan.unwrap_or_default();
    let is_document = global.output.is_document();
    let mut fields = vec![
        ("approval", approval.id.clone()),
        ("state", state(&approval)),
    ];
    if is_document {
        fields.extend([
            ("given", approval.given.len().to_string()),
            ("needed", approval.people_needed.to_string()),
        ]);
    } else {
        fields.push(("given", given(&approval)));
    }
    fields.extend([
        ("by", who(&approval)),
        ("left", left(&approval)),
        ("agent", approval.agent.clone()),
        ("charter", approval.charter.clone()),
        (
            "grant",
            format!("{} in {}", approval.grant, approval.environment),
        ),
        ("reason", approval.reason.clone()),
        ("ticket", approval.ticket.clone()),
        ("owner", approval.technical_owner.clone()),
        ("other owners", other_owners(&approval)),
        ("summary", approval.summary.clone()),
        ("risk", risk(approval.risk()).to_owned()),
        (
            "effects",
            effects_line(approval.effects.unwrap_or_default()),
        ),
        ("plan", approval.plan_id.clone()),
        ("digest", approval.plan_digest.clone()),
    ]);
    let table = global.output == Output::Table;
    let mut add = |name, lines: Vec<String>| {
        if table {
            fields.extend(lines.into_iter().map(|line| (name, line)));
        } else {
            fields.push((name, lines.join("\n")));
        }
    };
    add("risk, as", approval.reasons.clone());
    add("warning", plan.warnings);
    add("destroys", plan.destructive);
    add("reach", plan.reach);
    add("session may", plan.gives);
    add("and may not", plan.withholds);
    add("not covered", plan.lacks);
    add(
        "beyond",
        Some(plan.beyond)
            .filter(|it| !it.is_empty())
            .into_iter()
            .collect(),
    );
    add("not shown", sensitive(plan.sensitive_count, plan.sensitive));
    let yes = |consent: &v1::Consent| format!("{}: {}", consent.person, consent.comment);
    add("yes", approval.given.iter().map(yes).collect());
    print_one(global.output, &fields);
    if table {
        println!("\n{}", text::whole(shown.content.trim_end()));
        if is_waiting(&approval) {
            let acknowledge = match approval.sensitive_count {
                0 => String::new(),
                count => format!(" --acknowledge-sensitive {count}"),
            };
            global.note(format_args!(
                "\nthe exact bytes: lanyard plan show --raw {}\nto approve: lanyard approval approve {} --digest {}{acknowledge} --comment …",
                approval.plan_id, approval.id, approval.plan_digest
            ));
        }
    }
    Ok(())
}

/// On a terminal the whole list, drawn anew; elsewhere a line for each request that comes or goes.
async fn watch(global: &Global, mut client: Client) -> Result<(), Outcome> {
    let mut stream = client.watch_approvals(v1::WatchApprovalsRequest {}).await?;
    let drawn = Screen::of(&std::io::stdout()).is_drawn() && global.output == Output::Table;
    let mut before: Vec<v1::Approval> = Vec::new();
    while let Some(now) = stream
        .message()
        .await
        .map_err(lanyard_client::ClientError::from)?
    {
        if drawn {
            // The cursor goes home, and what was there is cleared.
            print!("\u{1b}[H\u{1b}[2J");
            match now.approvals.as_slice() {
                [] => println!("nothing waits for approval"),
                waiting => print!("{}", waits(waiting, Screen::columns(&std::io::stdout()))),
            }
        } else {
            lines(global.output, &before, &now.approvals);
        }
        before = now.approvals;
    }
    Ok(())
}

/// Lays out the waiting requests for a screen: a request begins at the left, and whatever belongs
/// to one is indented.
fn waits(waiting: &[v1::Approval], screen: Option<usize>) -> String {
    let mut shown = String::new();
    for approval in waiting {
        shown.push_str(&format!(
            "{}  {} risk  {} given  {} left\n",
            text::line(&approval.id),
            risk(approval.risk()),
            given(approval),
            span::until(approval.expire_time)
        ));
        let asks = format!(
            "{} asks for {} in {}, by {}",
            approval.agent,
            approval.grant,
            approval.environment,
            who(approval)
        );
        for (what, said) in [
            ("  ", &asks),
            ("  ", &approval.summary),
            ("  reason: ", &approval.reason),
            ("  lanyard approval show ", &approval.id),
        ] {
            let line = text::wrapped(what, &text::line(said), 4, screen);
            shown.push_str(&format!("{}\n", line.trim_end()));
        }
        shown.push('\n');
    }
    shown
}

fn lines(output: Output, before: &[v1::Approval], now: &[v1::Approval]) {
    let is_in = |one: &v1::Approval, all: &[v1::Approval]| all.iter().any(|it| it.id == one.id);
    let new: Vec<_> = now
        .iter()
        .filter(|it| !is_in(it, before))
        .cloned()
        .collect();
    match output {
        Output::Table => {
            for approval in new {
                let line = format!(
                    "waits  {}  {} risk  {} in {}  {}",
                    approval.id,
                    risk(approval.risk()),
                    approval.grant,
                    approval.environment,
                    approval.summary
                );
                println!("{}", text::line(&line));
            }
            for gone in before.iter().filter(|it| !is_in(it, now)) {
                println!("gone   {}", text::line(&gone.id));
            }
        }
        Output::Json | Output::Jsonl | Output::Yaml | Output::Name => {
            if !new.is_empty() {
                table(new).print(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lanyard_client::Time;

    use super::*;
    use crate::text::tests::hostile;

    #[test]
    fn u19_what_waits_is_listed_oldest_first_and_one_line_each() {
        let approval = |id: u8, seconds: i64| v1::Approval {
            id: format!("A-01KBA7M4X8R2V5T9W3Y6Z0C1{id:02}"),
            agent: "https://agents.acme.example#agent:router".to_owned(),
            summary: "move ticket 7 to billing, and close the forty tickets that were opened twice"
                .to_owned(),
            people_needed: 2,
            request_time: Some(Time { seconds, nanos: 0 }),
            ..v1::Approval::default()
        };
        let mut denied = approval(3, 1);
        denied.denied = "not now".to_owned();
        let all = vec![approval(1, 30), denied, approval(2, 20)];
        let (waiting, waits, others) = waiting_first(all.clone(), false);
        assert_eq!((waits, others), (2, 1));
        let shown = rows(&waiting, false, true).shown(Some(80));
        let lines: Vec<&str> = shown.lines().collect();
        let [_, first, second] = lines.as_slice() else {
            unreachable!("{shown}");
        };
        assert!(first.starts_with("A-01KBA7M4X8R2V5T9W3Y6Z0C102"), "{shown}");
        assert!(
            second.contains("router") && second.contains("move ticket"),
            "{shown}"
        );
        assert!(lines.iter().all(|line| text::width(line) <= 80), "{shown}");
        let (listed, ..) = waiting_first(all, true);
        let states: Vec<String> = listed.iter().map(state).collect();
        assert_eq!(states, ["waiting", "waiting", "denied: not now"]);
        let shown = rows(&listed, true, true).shown(Some(80));
        assert!(shown.lines().all(|line| text::width(line) <= 80), "{shown}");
        assert!(shown.ends_with("\n    not now\n"), "{shown}");
    }

    #[test]
    fn a_request_that_waits_begins_no_line_but_its_own() {
        for text in hostile() {
            let waiting = [v1::Approval {
                id: "A-1".to_owned(),
                agent: text.clone(),
                summary: text.clone(),
                reason: text.clone(),
                groups: vec![text],
                ..v1::Approval::default()
            }];
            for screen in [Some(40), Some(80), None] {
                let shown = waits(&waiting, screen);
                let begun = shown
                    .lines()
                    .filter(|line| !line.starts_with(' ') && !line.is_empty());
                assert_eq!(begun.count(), 1, "{shown}");
                assert!(shown.len() < 100_000);
            }
        }
    }
}
