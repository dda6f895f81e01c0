//! What the state holds for an identity, for how long, and what nobody can push out of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where its footing gives way"
)]

mod indices;
mod rearms;

use std::time::Duration;

use lanyard_charter::plan::PlanFormat;
use lanyard_charter::requirement::Requirement;
use lanyard_charter::{Rate, TargetKind};
use lanyard_core::action::{MAX_REPORTS_PER_TASK_PER_HOUR, Outcome, Report, Reporter};
use lanyard_core::command::{Command, Intent, LeaseLimits, Record, RequestOptions};
use lanyard_core::kill::{Actor, KILL_ORDER_REMEMBERED, KillOrder};
use lanyard_core::lease::{GrantRef, Handle, Progress, StopCause};
use lanyard_core::plan::Plan;
use lanyard_core::state::{
    ENDED_TASK_REMEMBERED, MAX_OPEN_TASKS, MAX_OPEN_TASKS_PER_IDENTITY,
    MAX_REPORTS_PER_IDENTITY_PER_HOUR, MAX_TASKS_WITH_LATE_REPORTS, REPORTED_TASK_REMEMBERED,
    REQUEST_ID_REMEMBERED, REQUEST_REMEMBERED, Refusal, State,
};
use lanyard_core::task::Task;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{DecisionId, KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::{Timestamp, Ttl};

const START: Timestamp = ManualClock::START;
const MOMENT: Duration = Duration::from_millis(1);

/// The state, and what came into it.
struct Books {
    state: State,
    ids: Ids,
}

impl Books {
    fn new() -> Self {
        let mut books = Self {
            state: State::default(),
            ids: Ids::seeded(7),
        };
        let task = world::task(&books.ids, START);
        let in_force = Command::CharterInForce {
            charter: task.charter,
            revision: task.revision,
            breakers: Vec::new(),
        };
        books.apply(in_force, START);
        books
    }

    fn admit(&mut self, command: Command, at: Timestamp) -> Result<Seq, Refusal> {
        self.state.admit(&command, at)?;
        Ok(self.apply(command, at))
    }

    fn apply(&mut self, command: Command, at: Timestamp) -> Seq {
        self.state.apply(&Record { at, command })
    }

    /// Reads a snapshot of the state back.
    fn again(&self) -> State {
        let mut state = State::default();
        for item in self.state.image() {
            let written = serde_json::to_string(&item).unwrap();
            assert!(state.restore(serde_json::from_str(&written).unwrap()));
        }
        state
    }

    fn task(&self, at: Timestamp) -> Task {
        world::task(&self.ids, at)
    }

    fn open(&mut self, request: Option<&str>, at: Timestamp) -> Task {
        let task = self.task(at);
        let request = request.map(str::to_owned);
        let open = Command::OpenTask {
            task: task.clone(),
            request,
        };
        self.admit(open, at).unwrap();
        task
    }

    fn close(&mut self, task: TaskId, at: Timestamp) {
        self.admit(Command::CloseTask { task }, at).unwrap();
    }

    fn lease(&mut self, task: &Task, at: Timestamp) -> LeaseId {
        let lease = self.ids.lease();
        let ends = at + Duration::from_secs(600);
        let intent = Intent {
            lease,
            decision: DecisionId::from_bits(self.ids.bits()),
            task: task.id,
            environment: None,
            entry: GrantRef {
                grant: world::grant(TargetKind::TOKEN),
                role: Role::Plan,
                target: world::target(TargetKind::TOKEN),
            },
            in_force: task.revision.clone(),
            above: Vec::new(),
            handle: Handle::default(),
            expires: ends,
            worst_expiry: ends,
            deadline: ends,
            approval: None,
            asked: RequestOptions::default(),
            outside_hours: false,
            limits: LeaseLimits {
                live: 100_000,
                mints: Rate {
                    count: 10_000,
                    per: Ttl::at_least_a_second(60),
                }
                .into(),
                budget: None,
            },
            request: Some(format!("request {lease}")),
            evidence: None,
            approved_by: Vec::new(),
            document_digest: String::new(),
        };
        self.admit(Command::BeginMint(Box::new(intent)), at)
            .unwrap();
        lease
    }

    fn kill(&mut self, scope: Scope, by: Actor, at: Timestamp) -> KillId {
        let order = KillOrder {
            id: KillId::from_bits(self.ids.bits()),
            scope,
            roles: RoleFilter::Both,
            reason: "drill".to_owned(),
            by,
            at,
            evidence: Vec::new(),
            key: None,
            identities: Default::default(),
            as_typed: false,
            reaches_nothing: false,
        };
        let id = order.id;
        self.admit(Command::Kill(order), at).unwrap();
        id
    }

    /// Some record, so that time passes in the state.
    fn pass(&mut self, at: Timestamp) {
        let started = Command::Started {
            version: "0".to_owned(),
        };
        self.apply(started, at);
    }

    fn report(&mut self, task: TaskId, outcome: Outcome, at: Timestamp) -> Result<Seq, Refusal> {
        let report = Report {
            action: lanyard_vocabulary::id::ActionId::from_bits(self.ids.bits()),
            task,
            lease: None,
            tool: "tickets".to_owned(),
            name: "ticket.move".to_owned(),
            on: "TICKET-7".to_owned(),
            outcome,
            detail: String::new(),
            by: Reporter::Agent(world::agent()),
            delivery: None,
        };
        self.admit(Command::Report(Box::new(report)), at)
    }

    fn ends(&mut self, lease: LeaseId, at: Timestamp) {
        let leases = vec![lease];
        let cause = StopCause::Released;
        self.apply(Command::Stop { leases, cause }, at);
        let progress = vec![(lease, Progress::ProvedDead(at))];
        self.apply(Command::Advance { progress }, at);
        let leases = vec![lease];
        self.apply(Command::Forget { leases }, at);
    }
}

fn identity(number: usize) -> Identity {
    Identity {
        issuer: "https://agents.acme.example".to_owned(),
        subject: format!("agent:{number}"),
    }
}

fn of(task: Task, number: usize) -> Command {
    let task = Task {
        identity: identity(number),
        agent: AgentName(number.to_string()),
        ..task
    };
    let request = None;
    Command::OpenTask { task, request }
}

#[test]
fn s05_open_tasks_are_bounded_by_identity() {
    let mut books = Books::new();
    let tasks: Vec<Task> = (0..MAX_OPEN_TASKS_PER_IDENTITY)
        .map(|_| books.open(None, START))
        .collect();
    let one_more = Command::OpenTask {
        task: books.task(START),
        request: None,
    };
    let refused = books.admit(one_more.clone(), START);
    assert!(
        matches!(
            refused,
            Err(Refusal::TooManyTasks {
                most: MAX_OPEN_TASKS_PER_IDENTITY,
                ..
            })
        ),
        "{refused:?}"
    );
    // Another identity is not held up, and one that ends makes room: by a call, or by its time.
    let other = of(books.task(START), 1);
    books.admit(other, START).unwrap();
    books.close(tasks[0].id, START);
    books.admit(one_more, START).unwrap();
    let later = tasks[0].expires;
    let again = books.task(later);
    let again = Command::OpenTask {
        task: again,
        request: None,
    };
    assert_eq!(books.state.open_tasks_of(&world::agent(), later), 0);
    books.admit(again, later).unwrap();
}

#[test]
fn s05_a_task_that_an_agent_opens_for_another_counts_for_the_one_that_opened_it() {
    let mut books = Books::new();
    let above = books.open(None, START);
    let below = Task {
        identity: identity(1),
        agent: AgentName("1".to_owned()),
        lineage: above.lineage_below(),
        ..books.task(START)
    };
    let open = Command::OpenTask {
        task: below,
        request: None,
    };
    books.admit(open, START).unwrap();
    assert_eq!(books.state.open_tasks_of(&world::agent(), START), 2);
    assert_eq!(books.state.open_tasks_of(&identity(1), START), 0);
    assert_eq!(books.again().open_tasks_of(&world::agent(), START), 2);
}

#[test]
fn s05_open_tasks_are_bounded_in_all() {
    let mut books = Books::new();
    for number in 0..MAX_OPEN_TASKS {
        let open = of(books.task(START), number / MAX_OPEN_TASKS_PER_IDENTITY);
        books.apply(open, START);
    }
    let one_more = of(books.task(START), MAX_OPEN_TASKS);
    let refused = books.admit(one_more, START);
    assert_eq!(
        refused,
        Err(Refusal::TooManyTasksInAll {
            most: MAX_OPEN_TASKS
        })
    );
    let some = books.state.tasks().next().unwrap().task.id;
    books.close(some, START);
    let one_more = of(books.task(START), MAX_OPEN_TASKS);
    books.admit(one_more, START).unwrap();
}

#[test]
fn s05_reports_are_bounded_by_task() {
    let mut books = Books::new();
    let task = books.open(None, START);
    for _ in 0..MAX_REPORTS_PER_TASK_PER_HOUR {
        books.report(task.id, Outcome::Succeeded, START).unwrap();
    }
    let refused = books.report(task.id, Outcome::Succeeded, START);
    assert!(
        matches!(refused, Err(Refusal::TooManyReports { .. })),
        "{refused:?}"
    );
    let later = START + Duration::from_secs(3600);
    books.report(task.id, Outcome::Succeeded, later).unwrap();
}

#[test]
fn s05_reports_are_bounded_by_identity() {
    let mut books = Books::new();
    let mut taken = 0;
    let mut refused = None;
    // However many tasks it opens for that.
    for _ in 0..5 {
        let task = books.open(None, START);
        for _ in 0..MAX_REPORTS_PER_TASK_PER_HOUR {
            match books.report(task.id, Outcome::Succeeded, START) {
                Ok(_) => taken += 1,
                Err(refusal) => refused = Some(refusal),
            }
        }
    }
    assert_eq!(taken, MAX_REPORTS_PER_IDENTITY_PER_HOUR);
    let Some(Refusal::TooManyReportsOfAgent { until, .. }) = refused else {
        panic!("{refused:?}");
    };
    let other = of(books.task(START), 1);
    let Command::OpenTask { task, .. } = &other else {
        panic!("no task");
    };
    let id = task.id;
    books.admit(other, START).unwrap();
    books.report(id, Outcome::Succeeded, START).unwrap();
    // A restart forgets none of it.
    let task = books.open(None, START);
    books.state = books.again();
    assert!(books.report(task.id, Outcome::Succeeded, START).is_err());
    books.report(task.id, Outcome::Succeeded, until).unwrap();
}

/// A plan of this task that asks nobody.
fn plan(books: &Books, task: &Task) -> Command {
    Command::SubmitPlan {
        plan: Box::new(Plan {
            id: books.ids.plan(),
            task: task.id,
            grant: world::grant(TargetKind::TOKEN),
            namespace: None,
            format: PlanFormat::Text,
            digest: Digest::of(b"plan"),
            size: 4,
            summary: "nothing".to_owned(),
            destructive: Default::default(),
            effects: Default::default(),
            rehearsed: None,
            sensitive: Default::default(),
            beyond: None,
            narrowing: None,
            counted: None,
            reach: None,
            judgements: Vec::new(),
            rehearsal: None,
            submitted: START,
            approval: None,
        }),
        requirement: None,
        requests: Default::default(),
    }
}

#[test]
fn s05_plans_are_bounded_by_task() {
    let mut books = Books::new();
    let task = books.open(None, START);
    for _ in 0..100 {
        let plan = plan(&books, &task);
        books.admit(plan, START).unwrap();
    }
    let one_more = plan(&books, &task);
    let refused = books.admit(one_more, START);
    assert!(
        matches!(refused, Err(Refusal::TooManyPlans { most: 100, .. })),
        "{refused:?}"
    );
    books.close(task.id, START);
    books.pass(START + ENDED_TASK_REMEMBERED);
    assert_eq!(books.state.plans(None).count(), 0);
}

#[test]
fn s51_an_ended_task_leaves_memory_soon() {
    let mut books = Books::new();
    let (closed, over) = (books.open(None, START), books.open(None, START));
    books.close(closed.id, START);
    let gone = START + ENDED_TASK_REMEMBERED;
    books.pass(gone.before(MOMENT));
    assert!(books.state.task(closed.id).is_some());
    books.pass(gone);
    assert!(books.state.task(closed.id).is_none());
    // So does one whose time is up, and none that is open.
    assert!(books.state.task(over.id).is_some());
    books.pass(over.expires + ENDED_TASK_REMEMBERED);
    assert_eq!(books.state.tasks().count(), 0);
    assert_eq!(books.again().tasks().count(), 0);
}

#[test]
fn s51_a_task_stays_while_a_lease_of_it_or_a_task_below_it_is_in_the_books() {
    let mut books = Books::new();
    let above = books.open(None, START);
    let below = Task {
        lineage: above.lineage_below(),
        ..books.task(START)
    };
    let open = Command::OpenTask {
        task: below.clone(),
        request: None,
    };
    books.admit(open, START).unwrap();
    let lease = books.lease(&below, START);
    books.close(above.id, START);
    let long = START + REPORTED_TASK_REMEMBERED + ENDED_TASK_REMEMBERED;
    for state in [0, 1] {
        books.pass(long);
        assert!(books.state.task(below.id).is_some());
        assert!(books.state.task(above.id).is_some());
        if state == 0 {
            // The same after a restart from a snapshot.
            books.state = books.again();
        }
    }
    books.ends(lease, long);
    books.pass(long + ENDED_TASK_REMEMBERED);
    assert!(books.state.task(below.id).is_none());
    books.pass(long + 2 * ENDED_TASK_REMEMBERED);
    assert!(books.state.task(above.id).is_none());
    assert_eq!(books.state.leases().len(), 0);
}

#[test]
fn s51_a_task_that_asked_people_stays_as_long_as_that_counts() {
    let mut books = Books::new();
    let task = books.open(None, START);
    let mut submit = plan(&books, &task);
    let Command::SubmitPlan {
        plan, requirement, ..
    } = &mut submit
    else {
        panic!("no plan");
    };
    plan.approval = Some(books.ids.approval());
    *requirement = Some(Requirement::of_one());
    books.apply(submit, START);
    books.close(task.id, START);
    books.pass((START + REQUEST_REMEMBERED).before(MOMENT));
    assert_eq!(books.state.approvals(None).count(), 1);
    books.state = books.again();
    books.pass(START + REQUEST_REMEMBERED);
    assert_eq!(books.state.approvals(None).count(), 0);
    assert!(books.state.task(task.id).is_none());
}

#[test]
fn s51_a_task_with_reports_takes_more_of_them_for_an_hour() {
    let mut books = Books::new();
    let task = books.open(None, START);
    books.report(task.id, Outcome::Succeeded, START).unwrap();
    books.close(task.id, START);
    let last = (START + REPORTED_TASK_REMEMBERED).before(MOMENT);
    books.pass(last);
    books.report(task.id, Outcome::RolledBack, last).unwrap();
    let over = START + REPORTED_TASK_REMEMBERED;
    books.pass(over);
    let refused = books.report(task.id, Outcome::RolledBack, over);
    assert!(matches!(refused, Err(Refusal::Unknown(_))), "{refused:?}");
}

// An agent whose broker was away when the task ended.
#[test]
fn s51_a_task_that_had_a_credential_takes_its_last_report_for_an_hour() {
    let mut books = Books::new();
    let task = books.open(None, START);
    let lease = books.lease(&task, START);
    books.ends(lease, START);
    books.close(task.id, START);
    let last = (START + REPORTED_TASK_REMEMBERED).before(MOMENT);
    books.pass(START + 2 * ENDED_TASK_REMEMBERED);
    books.state = books.again();
    books.pass(last);
    books.report(task.id, Outcome::Succeeded, last).unwrap();
    books.pass(START + REPORTED_TASK_REMEMBERED);
    assert!(books.state.task(task.id).is_none());
    assert!(books.state.reports(task.id).is_none());
}

#[test]
fn s51_so_many_ended_tasks_wait_for_late_reports_and_no_more() {
    let mut books = Books::new();
    let ended = |books: &mut Books, at: Timestamp| {
        let task = books.open(None, at);
        let lease = books.lease(&task, at);
        books.ends(lease, at);
        books.close(task.id, at);
        task.id
    };
    let first = ended(&mut books, START);
    // More mints within a minute would be too fast.
    let at = START + Duration::from_secs(61);
    let second = ended(&mut books, at.before(MOMENT));
    let mut last = first;
    for _ in 0..MAX_TASKS_WITH_LATE_REPORTS - 1 {
        last = ended(&mut books, at);
    }
    let minute = at + ENDED_TASK_REMEMBERED;
    for _ in 0..2 {
        books.pass(minute);
        assert_eq!(books.state.tasks().count(), MAX_TASKS_WITH_LATE_REPORTS);
        assert!(books.state.task(first).is_none());
        // The same after a restart from a snapshot.
        books.state = books.again();
    }
    books.report(last, Outcome::Succeeded, minute).unwrap();
    books.report(second, Outcome::Succeeded, minute).unwrap();
    let refused = books.report(first, Outcome::Succeeded, minute);
    assert!(matches!(refused, Err(Refusal::Unknown(_))), "{refused:?}");
}

#[test]
fn s51_a_request_that_is_repeated_late_opens_nothing() {
    let mut books = Books::new();
    let task = books.open(Some("r-1"), START);
    books.close(task.id, START);
    let last = (START + REQUEST_ID_REMEMBERED).before(MOMENT);
    books.pass(last);
    assert!(books.state.task(task.id).is_none());
    for _ in 0..2 {
        let known = books.state.task_of_request(&world::agent(), "r-1");
        assert_eq!(known, Some(task.id));
        let open = Command::OpenTask {
            task: books.task(last),
            request: Some("r-1".to_owned()),
        };
        let refused = books.admit(open, last);
        assert!(matches!(refused, Err(Refusal::Exists(_))), "{refused:?}");
        books.state = books.again();
    }
    // Another identity's request of the same name is another request.
    assert_eq!(books.state.task_of_request(&identity(1), "r-1"), None);
    books.pass(START + REQUEST_ID_REMEMBERED);
    assert_eq!(books.state.task_of_request(&world::agent(), "r-1"), None);
}

#[test]
fn s28_leases_are_listed_by_pages_of_an_index() {
    let mut books = Books::new();
    let own = books.open(None, START);
    let other = of(books.task(START), 1);
    let Command::OpenTask { task: other, .. } = other else {
        panic!("no task");
    };
    let open = Command::OpenTask {
        task: other.clone(),
        request: None,
    };
    books.admit(open, START).unwrap();
    let leases: Vec<LeaseId> = (0..20)
        .map(|number| {
            let task = if number % 2 == 0 { &own } else { &other };
            books.lease(task, START)
        })
        .collect();
    for state in [books.state.clone(), books.again()] {
        let all = |of: Option<&Identity>| {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page: Vec<_> = state.leases().listed(of, after).take(3).collect();
                let Some(last) = page.last() else {
                    return listed;
                };
                after = Some(last.intent);
                listed.extend(page.iter().map(|lease| lease.id));
            }
        };
        assert_eq!(all(None), leases);
        let own: Vec<_> = leases.iter().copied().step_by(2).collect();
        assert_eq!(all(Some(&world::agent())), own);
        assert_eq!(all(Some(&identity(5))), []);
    }
    books.ends(leases[0], START);
    let first = books
        .state
        .leases()
        .listed(Some(&world::agent()), None)
        .next();
    assert_eq!(first.map(|lease| lease.id), Some(leases[2]));
}

#[test]
fn s08_an_order_over_a_task_goes_when_the_task_is_gone() {
    let mut books = Books::new();
    let task = books.open(None, START);
    let lease = books.lease(&task, START);
    let over_task = books.kill(Scope::Task(task.id), Actor::Local, START);
    let over_lease = books.kill(Scope::Lease(lease), Actor::Local, START);
    let over_all = books.kill(Scope::All, Actor::Local, START);
    books.close(task.id, START);
    let long = START + 2 * KILL_ORDER_REMEMBERED;
    books.pass(long);
    // While a lease of it is in the books, whatever its state, the orders are too.
    assert!(books.state.kills().get(over_task).is_some());
    assert!(books.state.kills().get(over_lease).is_some());
    books.ends(lease, long);
    books.pass(long + ENDED_TASK_REMEMBERED);
    assert!(books.state.task(task.id).is_none());
    assert!(books.state.kills().get(over_task).is_some());
    books.state = books.again();
    books.pass(long + ENDED_TASK_REMEMBERED + KILL_ORDER_REMEMBERED);
    assert!(books.state.kills().get(over_task).is_none());
    assert!(books.state.kills().get(over_lease).is_none());
    assert!(books.state.kills().get(over_all).is_some());
}

#[test]
fn s08_an_order_over_what_is_not_in_the_books_goes_too() {
    let mut books = Books::new();
    let task = Scope::Task(TaskId::from_bits(books.ids.bits()));
    let unknown = books.kill(task, Actor::Local, START);
    let drilled = Scope::Lease(LeaseId::from_bits(books.ids.bits()));
    let drilled = books.kill(drilled, Actor::Local, START);
    books.pass(START + KILL_ORDER_REMEMBERED);
    assert!(books.state.kills().get(unknown).is_none());
    assert!(books.state.kills().get(drilled).is_none());
}
