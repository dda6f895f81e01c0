//! Records as sentences.

use super::*;

#[test]
fn r13_whoever_takes_a_request_back_took_no_yes_back() {
    let task = world::task(&Ids::seeded(13), START);
    let withdraw = |by: &Identity| Command::Withdraw {
        approval: ApprovalId::from_bits(1),
        by: by.clone(),
        reason: "not needed any more".to_owned(),
    };
    let said = |by: &Identity| crate::rpc::sentence::of(&withdraw(by), Some(&task));
    let (own, alice) = (
        said(&task.identity),
        said(&person("https://people.example", "alice")),
    );
    assert!(own.starts_with("terraformer took its request A-"), "{own}");
    assert!(alice.starts_with("alice took the yes to A-"), "{alice}");
}

#[test]
fn n21_a_breaker_is_named_once_in_its_sentence() {
    let charter = world::name("payments-terraform");
    let by = |path: Option<&str>| Actor::Breaker {
        charter: charter.clone(),
        line: 12,
        path: path.map(str::to_owned),
        record: Seq(9),
    };
    for path in [None, Some("spec.breakers[0]")] {
        let by = by(path);
        let paused = Pause {
            reason: format!("{by}: 3 denials within 10m, by agent x (records … 7, 8, 9)"),
            evidence: vec![Seq(7), Seq(8), Seq(9)],
            by: by.clone(),
            ..pause(1, Reach::default())
        };
        let killed = KillOrder {
            reason: paused.reason.clone(),
            evidence: paused.evidence.clone(),
            ..order(1, Scope::Charter(charter.clone()), by)
        };
        for command in [Command::Pause(Box::new(paused)), Command::Kill(killed)] {
            let said = crate::rpc::sentence::of(&command, None);
            assert_eq!(said.matches("breaker of charter").count(), 1, "{said}");
            assert_eq!(said.matches("7").count(), 1, "{said}");
            assert!(
                said.contains(": 3 denials within 10m, by agent x ["),
                "{said}"
            );
            assert!(said.ends_with("lanyard audit show 7,8,9"), "{said}");
        }
    }
}
