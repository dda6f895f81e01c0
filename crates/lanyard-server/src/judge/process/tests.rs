//! Judges that are other programs than this one: what becomes of a plan when its judge ends
//! otherwise than it should.

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::{Effects, Sensitive};
use lanyard_charter::{NoPolicies, parse_with};
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{PlanId, TaskId};
use lanyard_vocabulary::identity::{Evidence, Identity};
use lanyard_vocabulary::time::Timestamp;

use super::*;

fn charter() -> Charter {
    let file = tempfile::tempdir().unwrap();
    let listen = "127.0.0.1:1".parse().unwrap();
    let config = crate::dev::prepare(file.path(), listen, None, None).unwrap();
    let world = crate::config::load(&config).unwrap().world;
    let text = include_str!("../../dev/ticket-router.yaml");
    parse_with(text, &world, &NoPolicies).unwrap().charter
}

fn question() -> (Task, Plan) {
    let charter = charter();
    let identity = Identity {
        issuer: "https://issuer.example".to_owned(),
        subject: "agent".to_owned(),
    };
    let task = Task {
        id: TaskId::from_bits(1),
        charter: charter.name.clone(),
        revision: charter.revision.clone(),
        environment: "production".parse().unwrap(),
        agent: AgentName("agent".to_owned()),
        identity,
        evidence: Evidence::default(),
        sponsor: None,
        reason: "test".to_owned(),
        ticket: None,
        version: None,
        lineage: Vec::new(),
        opened: Timestamp::EPOCH,
        expires: Timestamp::EPOCH,
    };
    let plan = Plan {
        id: PlanId::from_bits(1),
        task: task.id,
        grant: "move-tickets".parse().unwrap(),
        namespace: None,
        format: PlanFormat::Text,
        digest: Digest::of(b"plan"),
        size: 4,
        summary: String::new(),
        destructive: [].into(),
        effects: Effects::default(),
        rehearsed: None,
        sensitive: Sensitive::default(),
        beyond: None,
        narrowing: None,
        counted: None,
        reach: None,
        judgements: Vec::new(),
        rehearsal: None,
        submitted: Timestamp::EPOCH,
        approval: None,
    };
    (task, plan)
}

/// Runs a judge that is this shell script.
async fn said_by(script: &str, deadline: Duration) -> Result<Judgement, Unjudged> {
    let judges = Judges {
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        deadline,
    };
    let (task, plan) = question();
    // More than a pipe holds: a judge that reads none of it is not waited for.
    let content = vec![b'x'; 1 << 20];
    judges.judge((&charter(), &task), &plan, &content).await
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn s19_a_judge_that_says_too_much_or_nothing_denies() {
    let too_much = format!("head -c {} /dev/zero", MAX_ANSWER_BYTES + 1);
    for (script, why) in [
        ("exit 0", "the judge said no judgement"),
        ("cat > /dev/null; echo '{}'", "the judge said no judgement"),
        ("exit 7", "exit status: 7"),
        ("kill -SEGV $$", "signal: 11"),
        (too_much.as_str(), "they say more than 1048576 bytes"),
    ] {
        let judgement = said_by(script, LONG).await.unwrap();
        assert_eq!(judgement.risk, Risk::High);
        let denied = judgement.denied.join("\n");
        assert!(
            denied.starts_with("the policies cannot be evaluated: "),
            "{denied}"
        );
        assert!(denied.contains(why), "{script}: {denied}");
    }
}

#[tokio::test]
async fn s19_a_judge_that_does_not_end_is_ended_and_denies() {
    let judgement = said_by("exec sleep 1000", Duration::from_millis(10)).await;
    let denied = judgement.unwrap().denied.join("\n");
    assert!(denied.contains("did not end within"), "{denied}");
}

#[tokio::test]
async fn s19_what_a_judge_says_is_of_the_policies_that_were_asked() {
    let judgement = Judgement::unread(Digest::of(b"of others"));
    let answer = serde_json::to_string(&ProcessAnswer::Judged(judgement)).unwrap();
    let script = format!("cat > /dev/null; echo '{answer}'");
    let judgement = said_by(&script, LONG).await.unwrap();
    assert_eq!(judgement.policies, charter().policies_digest());
    assert!(judgement.denied.is_empty());
    let not = serde_json::to_string(&ProcessAnswer::Not("no such form".to_owned())).unwrap();
    let said = said_by(&format!("cat > /dev/null; echo '{not}'"), LONG).await;
    assert_eq!(said, Err(Unjudged::Policies("no such form".to_owned())));
}
