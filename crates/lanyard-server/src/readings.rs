//! Plans and timelines that are read: each is made from megabytes, so there are turns for them, and
//! the bytes that wait for their reader are counted. People have turns and memory of their own:
//! whoever has to decide about a plan reads it whatever agents do (T48).

use std::sync::Arc;

use lanyard_identity::Verified;
use lanyard_vocabulary::identity::Identity;

use crate::apart::Apart;
use crate::lanes::Lanes;
use crate::refusal;
use crate::refused::{Class, Refused};
use crate::shares::{Share, Shares};

/// Plans and timelines that are read at a time for agents.
///
/// # Limit
/// - for: all agents together
/// - unit: plans and timelines
/// - beyond: the reading waits for its turn; of one agent one is read at a time
/// - test: `s07_agents_read_in_turns_and_people_in_others`
const MAX_READINGS_OF_AGENTS: usize = 2;
/// The same for people.
///
/// # Limit
/// - for: all people together
/// - unit: plans and timelines
/// - beyond: the reading waits for its turn; of one person two are read at a time
/// - test: `s07_agents_read_in_turns_and_people_in_others`
const MAX_READINGS_OF_PEOPLE: usize = 4;
/// The bytes of plans that agents are being sent.
///
/// # Limit
/// - for: all agents together
/// - unit: bytes
/// - beyond: the plan is not sent: `RESOURCE_EXHAUSTED`
/// - test: `s07_people_read_plans_whatever_agents_hold`
const MAX_READ_BYTES_OF_AGENTS: u64 = 16 << 20;
/// The bytes of plans that one agent is being sent: one of the largest size.
///
/// # Limit
/// - for: an identity of an agent
/// - unit: bytes
/// - beyond: the plan is not sent: `RESOURCE_EXHAUSTED`
/// - test: `s07_people_read_plans_whatever_agents_hold`
const MAX_READ_BYTES_PER_AGENT: u64 = 4 << 20;
/// The bytes of plans that people are being sent; agents take none of these.
///
/// # Limit
/// - for: all people together
/// - unit: bytes
/// - beyond: the plan is not sent: `RESOURCE_EXHAUSTED`
/// - test: `s07_people_read_plans_whatever_agents_hold`
const MAX_READ_BYTES_OF_PEOPLE: u64 = 32 << 20;
/// The bytes of plans that one person is being sent: two of the largest size.
///
/// # Limit
/// - for: a person
/// - unit: bytes
/// - beyond: the plan is not sent: `RESOURCE_EXHAUSTED`
/// - test: `s07_people_read_plans_whatever_agents_hold`
const MAX_READ_BYTES_PER_PERSON: u64 = 8 << 20;

/// The readings under way.
pub(crate) struct Readings {
    apart: Arc<Apart>,
    agents: Kind,
    people: Kind,
}

/// The turns and the memory of agents, or of people.
struct Kind {
    turns: Lanes<Identity>,
    bytes: Shares<Identity>,
}

impl Readings {
    pub(crate) fn new(apart: Arc<Apart>) -> Self {
        Self {
            apart,
            agents: Kind {
                turns: Lanes::new(MAX_READINGS_OF_AGENTS, 1),
                bytes: Shares::new(MAX_READ_BYTES_OF_AGENTS, MAX_READ_BYTES_PER_AGENT),
            },
            people: Kind {
                turns: Lanes::new(MAX_READINGS_OF_PEOPLE, 2),
                bytes: Shares::new(MAX_READ_BYTES_OF_PEOPLE, MAX_READ_BYTES_PER_PERSON),
            },
        }
    }

    const fn of(&self, reader: &Verified) -> &Kind {
        match reader {
            Verified::Agent(_) => &self.agents,
            Verified::Operator(..) => &self.people,
        }
    }

    /// Reads in the reader's turn; for agents on threads of lower priority.
    ///
    /// # Errors
    /// `INTERNAL` when the work panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        reader: &Verified,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let turn = self.of(reader).turns.take(reader.identity()).await;
        // The turn ends with the work, which goes on when the reader is gone.
        let work = move || {
            let _turn = turn;
            work()
        };
        let read = match reader {
            Verified::Agent(_) => self.apart.run(work).await,
            Verified::Operator(..) => tokio::task::spawn_blocking(work).await,
        };
        read.map_err(|_| Refused::plain(Class::Broken, "what was asked for could not be read"))
    }

    /// Reserves memory for this many bytes of a plan, until the reader has taken them.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when the reader, or all readers of its kind, have used up their share.
    pub(crate) fn hold(&self, reader: &Verified, bytes: u64) -> Result<Share<Identity>, Refused> {
        let held = self.of(reader).bytes.take(reader.identity().clone(), bytes);
        held.map_err(|full| refusal::full("bytes of plans that are being read", full))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt as _;
    use lanyard_charter::plan::MAX_BYTES_PER_PLAN;
    use lanyard_vocabulary::caller::Caller;
    use lanyard_vocabulary::operator::{Login, Operator};

    use super::*;

    fn identity(subject: &str) -> Identity {
        Identity {
            issuer: "https://issuer.example".to_owned(),
            subject: subject.to_owned(),
        }
    }

    fn agent(subject: &str) -> Verified {
        Verified::Agent(Caller::unproved(&identity(subject)))
    }

    fn person(subject: &str) -> Verified {
        let operator = Operator {
            identity: identity(subject),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            name: None,
            directory: None,
            vouched: None,
        };
        Verified::Operator(operator, Login::default())
    }

    fn readings() -> Readings {
        Readings::new(Arc::new(Apart::new().unwrap()))
    }

    #[tokio::test]
    async fn s07_agents_read_in_turns_and_people_in_others() {
        let readings = readings();
        let turns = &readings.agents.turns;
        let mut held = vec![turns.take(&identity("a")).await];
        let a = identity("a");
        assert!(turns.take(&a).now_or_never().is_none(), "one of one agent");
        for other in 1..MAX_READINGS_OF_AGENTS {
            held.push(turns.take(&identity(&other.to_string())).await);
        }
        let b = agent("b");
        assert!(readings.run(&b, || ()).now_or_never().is_none());
        readings.run(&person("alice"), || ()).await.unwrap();
        drop(held);
        readings.run(&b, || ()).await.unwrap();
        let turns = &readings.people.turns;
        let mut held = Vec::new();
        for reader in 0..MAX_READINGS_OF_PEOPLE {
            held.push(turns.take(&identity(&reader.to_string())).await);
        }
        let alice = person("alice");
        assert!(readings.run(&alice, || ()).now_or_never().is_none());
    }

    #[tokio::test]
    async fn s07_a_turn_ends_with_the_work_and_not_with_its_reader() {
        let readings = readings();
        let a = agent("a");
        let (started, begun) = tokio::sync::oneshot::channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        {
            let work = readings.run(&a, move || {
                started.send(()).ok();
                held.recv().ok();
            });
            tokio::pin!(work);
            tokio::select! {
                _ = &mut work => unreachable!("nobody let it end"),
                begun = begun => begun.unwrap(),
            }
        }
        assert!(readings.run(&a, || ()).now_or_never().is_none());
        release.send(()).unwrap();
        readings.run(&a, || ()).await.unwrap();
    }

    #[test]
    fn s07_people_read_plans_whatever_agents_hold() {
        let readings = readings();
        let plan = MAX_BYTES_PER_PLAN as u64;
        let agents = MAX_READ_BYTES_OF_AGENTS / plan;
        let held: Vec<_> = (0..agents)
            .map(|number| readings.hold(&agent(&number.to_string()), plan).unwrap())
            .collect();
        assert!(readings.hold(&agent("0"), 1).is_err());
        assert!(readings.hold(&agent("one more"), 1).is_err());
        let own = [
            readings.hold(&person("alice"), plan),
            readings.hold(&person("alice"), plan),
        ];
        assert!(own.iter().all(Result::is_ok));
        assert!(readings.hold(&person("alice"), 1).is_err());
        let people = MAX_READ_BYTES_OF_PEOPLE / MAX_READ_BYTES_PER_PERSON;
        let others: Vec<_> = (1..people)
            .map(|number| {
                let other = person(&number.to_string());
                readings.hold(&other, MAX_READ_BYTES_PER_PERSON).unwrap()
            })
            .collect();
        assert!(readings.hold(&person("bob"), 1).is_err());
        drop((held, others));
        assert!(readings.hold(&agent("one more"), plan).is_ok());
        assert!(readings.hold(&person("bob"), plan).is_ok());
    }
}
