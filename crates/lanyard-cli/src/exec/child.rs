//! The command itself: it gets the signals that we get, is stopped with the task, and its end is
//! ours.

use std::collections::{HashMap, HashSet};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use lanyard_agent::{Connection, Proxied};
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_client::{Stop, Stops, v1};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper,
    test_kill_process_group, waitpgid,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::terminal::say;
use crate::{span, text};

/// The action on the command when its task is killed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnKill {
    /// SIGTERM to the command first and then to what it has started, SIGKILL to all when the grace
    /// is over.
    Term,
    /// Send SIGKILL at once.
    Kill,
    /// Do nothing: the command finds out by its credentials.
    None,
}

/// The interval at which the processes of a command that is being stopped are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The interval at which the agent is asked again what becomes of the task.
const AGAIN: Duration = Duration::from_secs(1);

/// The reason why it did not run.
pub(crate) enum NotRun {
    /// The command does not exist: exit code 127.
    NotFound,
    /// The command cannot be executed: exit code 126.
    NotExecutable(std::io::Error),
}

/// A command that runs, with all that it starts.
pub(crate) struct Started {
    child: Child,
    family: Family,
}

/// Starts it: where no terminal looks after it, with all that it starts, in a group of its own.
pub(crate) fn start(mut command: Command) -> Result<Started, NotRun> {
    let is_group = !by_terminal();
    if is_group {
        command.process_group(0);
    }
    // What the command leaves behind becomes a child of this process, and not of one that nobody
    // finds it under.
    set_child_subreaper(Some(getpid())).map_err(|error| NotRun::NotExecutable(error.into()))?;
    let strangers = descendants(&processes(), &HashSet::new());
    let strangers = strangers.iter().map(|process| process.id).collect();
    match command.spawn() {
        Ok(child) => {
            let family = Family::of(&child, is_group, strangers);
            Ok(Started { child, family })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(NotRun::NotFound),
        Err(error) => Err(NotRun::NotExecutable(error)),
    }
}

/// The way in which a command is ended when its task is stopped.
#[derive(Clone, Copy)]
pub(crate) struct Stopping {
    pub(crate) on_kill: OnKill,
    /// The time for which the command and what it has started have to end by themselves after
    /// SIGTERM.
    pub(crate) grace: Duration,
}

/// Waits for the end of the command and gives the exit code that is to be that of `lanyard exec`.
///
/// A stop goes from the top down: Terraform, say, saves its state when it is sent SIGTERM, but only
/// if its provider plugins answer until then. A plugin that is sent SIGTERM in the middle of a call
/// leaves behind what no state knows.
pub(crate) async fn attend(
    Started { mut child, family }: Started,
    mut signals: Signals,
    connection: &Connection,
    task: &str,
    stopping: Stopping,
) -> std::io::Result<u8> {
    let mut orphans = signal(SignalKind::child())?;
    let mut watch = tokio::task::JoinSet::new();
    let (news, mut stops) = mpsc::channel(4);
    watch.spawn(follow(
        TaskServiceClient::new(connection.proxied()),
        task.to_owned(),
        news,
    ));
    let mut deadline = None;
    let mut told = HashSet::new();
    let mut is_group_told = false;
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let mut ended = None;
    loop {
        if let Some(status) = ended
            && (deadline.is_none() || family.is_over())
        {
            return Ok(code(status));
        }
        tokio::select! {
            status = child.wait(), if ended.is_none() => ended = Some(status?),
            signal = signals.next() => family.pass_on(signal),
            Some(()) = orphans.recv() => family.reap(ended.is_some()),
            Some(stop) = stops.recv() => {
                let (line, what) = said(&stop, stopping.on_kill);
                say(format_args!("lanyard: {}; {what}", text::line(&line)));
                match stopping.on_kill {
                    OnKill::Term => {
                        deadline.get_or_insert_with(|| tokio::time::Instant::now() + stopping.grace);
                    }
                    OnKill::Kill => {
                        family.kill();
                        // What was started in the meantime is found at the next look.
                        deadline.get_or_insert_with(tokio::time::Instant::now);
                    }
                    OnKill::None => {}
                }
            }
            now = look.tick(), if deadline.is_some() => {
                if deadline.is_some_and(|deadline| now >= deadline) {
                    if stopping.on_kill == OnKill::Term {
                        let grace = span::shown(stopping.grace);
                        say(format_args!("lanyard: the command did not end within {grace}; SIGKILL"));
                    }
                    family.kill();
                    // Nothing outlives SIGKILL: what remains is waited for.
                    deadline = Some(now + stopping.grace);
                }
                family.reap(ended.is_some());
                if family.session.is_none() && !is_group_told {
                    family.pass_on(Signal::TERM);
                    is_group_told = true;
                }
                for process in family.tops() {
                    if told.insert(process) {
                        family.tell(process, Signal::TERM);
                    }
                }
            }
        }
    }
}

/// The command and what it has started: all that descends from this process since, unless that left
/// the session.
struct Family {
    leader: Option<Pid>,
    /// On a terminal the command shares the process group of `lanyard exec`, which may hold others
    /// as well.
    is_group: bool,
    /// None where `/proc` does not show this process, and so none of those that the command starts:
    /// then a stop reaches the group of the command.
    session: Option<i32>,
    /// The processes that this process had started before, and the shell whose place this process
    /// took.
    strangers: HashSet<i32>,
}

impl Family {
    fn of(child: &Child, is_group: bool, strangers: HashSet<i32>) -> Self {
        Self {
            leader: child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            is_group,
            session: Process::own().map(|own| own.session),
            strangers,
        }
    }

    fn tell(&self, process: Pid, signal: Signal) {
        report(kill_process(process, signal));
    }

    /// A signal that this process got. A shell on a terminal passes it to the jobs that it has
    /// started.
    fn pass_on(&self, signal: Signal) {
        let Some(leader) = self.leader else { return };
        report(if self.is_group {
            kill_process_group(leader, signal)
        } else {
            kill_process(leader, signal)
        });
    }

    /// All of them at once, and those that they start meanwhile.
    fn kill(&self) {
        if self.is_group {
            self.pass_on(Signal::KILL);
        }
        for process in self.members() {
            if let Some(process) = Pid::from_raw(process.id) {
                self.tell(process, Signal::KILL);
            }
        }
    }

    fn members(&self) -> Vec<Process> {
        let leader = self
            .leader
            .map_or(0, |leader| leader.as_raw_nonzero().get());
        let mut found = descendants(&processes(), &self.strangers);
        found.retain(|process| {
            !process.has_ended && (Some(process.session) == self.session || process.id == leader)
        });
        found
    }

    /// The living members whose parent is no member: the command, and after its end what it leaves
    /// behind.
    fn tops(&self) -> Vec<Pid> {
        let members = self.members();
        let is_member = |id: i32| members.iter().any(|member| member.id == id);
        let tops = members.iter().filter(|member| !is_member(member.parent));
        tops.filter_map(|member| Pid::from_raw(member.id)).collect()
    }

    /// Tells if nothing is left of it once the command has ended.
    fn is_over(&self) -> bool {
        if self.session.is_some() {
            return self.tops().is_empty();
        }
        let group = self.leader.filter(|_| self.is_group);
        group.is_none_or(|group| test_kill_process_group(group).is_err())
    }

    /// Takes note of the end of what the command has left behind, as the parent of it has to. The
    /// command's own end is waited for.
    fn reap(&self, has_leader_ended: bool) {
        if self.session.is_none() {
            let group = self.leader.filter(|_| self.is_group && has_leader_ended);
            while let Some(group) = group
                && let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG)
            {}
            return;
        }
        let own = getpid().as_raw_nonzero().get();
        for process in processes() {
            let is_orphan = process.has_ended && process.parent == own;
            let id = Pid::from_raw(process.id).filter(|id| Some(*id) != self.leader);
            if let Some(id) = id.filter(|_| is_orphan && !self.strangers.contains(&process.id)) {
                // Whoever ended before is gone already.
                let _gone = rustix::process::waitpid(Some(id), WaitOptions::NOHANG);
            }
        }
    }
}

fn report(sent: rustix::io::Result<()>) {
    if let Err(error) = sent
        && error != rustix::io::Errno::SRCH
    {
        say(format_args!(
            "lanyard: the command could not be sent a signal: {error}"
        ));
    }
}

/// The facts that the system tells of a process (proc_pid_stat(5)).
///
/// In a container whose process came from outside, `docker exec` for one, groups and sessions of
/// outside are 0.
#[derive(Clone, Copy)]
struct Process {
    id: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// The process group that its terminal sends signals to; -1 where it has no terminal.
    foreground: i32,
    has_ended: bool,
}

impl Process {
    /// The process that runs this. None where `/proc` is not mounted, or numbers processes as they
    /// are numbered outside of this container.
    fn own() -> Option<Self> {
        let own = getpid().as_raw_nonzero().get();
        Self::read("self").filter(|process| process.id == own)
    }

    /// By its number, or `self`. None where it is gone.
    fn read(id: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        Self::parse(&stat)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name of a program stands in parentheses and may hold some itself.
        let (before, fields) = stat.rsplit_once(')')?;
        let id = before.split_once(' ')?.0.parse().ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X");
        let mut number = || fields.next()?.parse().ok();
        let (parent, group, session) = (number()?, number()?, number()?);
        let _terminal: i32 = number()?;
        Some(Self {
            id,
            parent,
            group,
            session,
            foreground: number()?,
            has_ended,
        })
    }
}

/// Returns the processes below this process, without the strangers and those below them.
fn descendants(all: &[Process], strangers: &HashSet<i32>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut above = vec![getpid().as_raw_nonzero().get()];
    while let Some(id) = above.pop() {
        let known = children.remove(&id).into_iter().flatten();
        for child in known.filter(|child| !strangers.contains(&child.id)) {
            above.push(child.id);
            found.push(*child);
        }
    }
    found
}

/// The processes of this machine, or of this container; none where they cannot be told from others.
fn processes() -> Vec<Process> {
    if Process::own().is_none() {
        return Vec::new();
    }
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            Process::read(&id.to_string())
        })
        .collect()
}

fn said(stop: &Stop, on_kill: OnKill) -> (String, &'static str) {
    let line = match stop {
        Stop::Killed { line, .. } => line.clone(),
        Stop::Closed => "the task is closed".to_owned(),
    };
    let what = match on_kill {
        OnKill::Term => "the command is sent SIGTERM",
        OnKill::Kill => "the command is sent SIGKILL",
        OnKill::None => "the command goes on without credentials",
    };
    (line, what)
}

/// Returns the exit code as a shell gives it.
fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| signal + 128));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(u8::MAX)
}

/// Tells what stops the task, for as long as anybody listens.
async fn follow(mut tasks: TaskServiceClient<Proxied>, id: String, news: mpsc::Sender<Stop>) {
    let mut stops = Stops::default();
    loop {
        let request = v1::WatchTaskRequest { id: id.clone() };
        if let Ok(answer) = tasks.watch_task(request).await {
            let mut messages = answer.into_inner();
            while let Ok(Some(message)) = messages.message().await {
                if let Some(stop) = stops.news(&message) {
                    let last = stop == Stop::Closed;
                    if news.send(stop).await.is_err() || last {
                        return;
                    }
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The signals that are passed on. A terminal sends Ctrl-C and Ctrl-\\ to the command itself.
pub(crate) struct Signals {
    arrived: mpsc::Receiver<Signal>,
    _listening: tokio::task::JoinSet<()>,
}

impl Signals {
    /// From now on they do not end this process: before there is a command to pass them on to.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Self::of(by_terminal())
    }

    /// Listens to every signal, where there is no command that a terminal could send them to.
    pub(crate) fn listen_to_all() -> std::io::Result<Self> {
        Self::of(false)
    }

    fn of(by_terminal: bool) -> std::io::Result<Self> {
        let (told, arrived) = mpsc::channel(8);
        let mut listening = tokio::task::JoinSet::new();
        let all = [
            (SignalKind::interrupt(), Signal::INT, !by_terminal),
            (SignalKind::quit(), Signal::QUIT, !by_terminal),
            (SignalKind::terminate(), Signal::TERM, true),
            (SignalKind::hangup(), Signal::HUP, true),
            (SignalKind::user_defined1(), Signal::USR1, true),
            (SignalKind::user_defined2(), Signal::USR2, true),
        ];
        for (kind, number, passed_on) in all {
            let mut arriving = signal(kind)?;
            let told = told.clone();
            listening.spawn(async move {
                while arriving.recv().await.is_some() {
                    if passed_on && told.send(number).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            arrived,
            _listening: listening,
        })
    }

    pub(crate) async fn next(&mut self) -> Signal {
        match self.arrived.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Tells if a terminal sends its signals to this process and what it starts, whatever their
/// standard input is.
fn by_terminal() -> bool {
    Process::own().is_some_and(|own| own.foreground == own.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_of_a_process_is_read_whatever_its_program_is_called() {
        let stat = "12 (a) S 1 2) S 7 10 9 34816 10 4194304 0 0\n";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.id, process.parent), (12, 7));
        assert_eq!((process.group, process.session), (10, 9));
        assert_eq!(process.foreground, 10);
        let outside = Process::parse("3 (sh) Z 1 0 0 0 -1 0").unwrap();
        assert!(outside.has_ended);
        assert_eq!((outside.session, outside.foreground), (0, -1));
        for text in ["", "version 6.1", "3 (sh", "3 (sh) S 1 2"] {
            assert!(Process::parse(text).is_none(), "{text}");
        }
    }
}
