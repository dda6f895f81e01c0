//! The command itself: it gets the signals that we get, is stopped with the task, and its end is ours.

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use lanyard_agent::{Connection, Proxied};
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_client::{Stop, Stops, v1};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What is done with the command when its task is killed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnKill {
    /// SIGTERM to the command first and then to what it has started, SIGKILL to all when the grace is over.
    Term,
    /// SIGKILL at once.
    Kill,
    /// Nothing: it finds out by its credentials.
    None,
}

/// How often the processes of a command that is being stopped are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long until the agent is asked again what becomes of the task.
const AGAIN: Duration = Duration::from_secs(1);

/// Why it did not run.
pub(crate) enum NotRun {
    /// 127.
    NotFound,
    /// 126.
    NotExecutable(std::io::Error),
}

/// Starts it: where no terminal looks after it, with all that it starts, in a group of its own.
pub(crate) fn start(mut command: Command) -> Result<Child, NotRun> {
    if !by_terminal() {
        command.process_group(0);
    }
    command.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            NotRun::NotFound
        } else {
            NotRun::NotExecutable(error)
        }
    })
}

/// How a command is ended when its task is stopped.
#[derive(Clone, Copy)]
pub(crate) struct Stopping {
    pub(crate) on_kill: OnKill,
    /// How long the command and what it has started have to end by themselves after SIGTERM.
    pub(crate) grace: Duration,
}

/// Waits for the end of the command and gives the exit code that is to be that of `lanyard exec`.
///
/// A stop goes from the top down: Terraform, say, saves its state when it is sent SIGTERM, but only if its provider
/// plugins answer until then. A plugin that is sent SIGTERM in the middle of a call leaves behind what no state knows.
pub(crate) async fn attend(
    mut child: Child,
    mut signals: Signals,
    connection: &Connection,
    task: &str,
    stopping: Stopping,
) -> std::io::Result<u8> {
    let family = Family::of(&child);
    let mut watch = tokio::task::JoinSet::new();
    let (news, mut stops) = mpsc::channel(4);
    watch.spawn(follow(
        TaskServiceClient::new(connection.proxied()),
        task.to_owned(),
        news,
    ));
    let mut deadline = None;
    let mut told = HashSet::new();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let mut ended = None;
    loop {
        if let Some(status) = ended
            && (deadline.is_none() || family.tops().is_empty())
        {
            return Ok(code(status));
        }
        tokio::select! {
            status = child.wait(), if ended.is_none() => ended = Some(status?),
            signal = signals.next() => family.tell_all(signal),
            Some(stop) = stops.recv() => {
                let (line, what) = said(&stop, stopping.on_kill);
                eprintln!("lanyard: {line}; {what}");
                match stopping.on_kill {
                    OnKill::Term => {
                        deadline.get_or_insert_with(|| tokio::time::Instant::now() + stopping.grace);
                    }
                    OnKill::Kill => family.tell_all(Signal::KILL),
                    OnKill::None => {}
                }
            }
            now = look.tick(), if deadline.is_some() => {
                if deadline.is_some_and(|deadline| now >= deadline) {
                    eprintln!("lanyard: the command did not end within {:?}; SIGKILL", stopping.grace);
                    family.tell_all(Signal::KILL);
                    // Nothing outlives SIGKILL: what remains is waited for.
                    deadline = Some(now + stopping.grace);
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

/// The command and what it has started, unless that left the process group of the command.
struct Family {
    leader: Option<Pid>,
    /// On a terminal the command shares the process group of `lanyard exec`, and is signalled alone.
    is_group: bool,
}

impl Family {
    fn of(child: &Child) -> Self {
        Self {
            leader: child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            is_group: !by_terminal(),
        }
    }

    fn tell(&self, process: Pid, signal: Signal) {
        report(kill_process(process, signal));
    }

    fn tell_all(&self, signal: Signal) {
        let Some(leader) = self.leader else { return };
        report(if self.is_group {
            kill_process_group(leader, signal)
        } else {
            kill_process(leader, signal)
        });
    }

    /// The living members whose parent is no member: the command, and after its end what it leaves behind.
    fn tops(&self) -> Vec<Pid> {
        let Some(leader) = self.leader else {
            return Vec::new();
        };
        if !self.is_group {
            let lives = rustix::process::test_kill_process(leader).is_ok();
            return if lives { vec![leader] } else { Vec::new() };
        }
        let members: Vec<Process> = processes()
            .into_iter()
            .filter(|process| process.group == leader.as_raw_nonzero().get())
            .collect();
        let is_member = |id: i32| members.iter().any(|member| member.id == id);
        let tops = members.iter().filter(|member| !is_member(member.parent));
        tops.filter_map(|member| Pid::from_raw(member.id)).collect()
    }
}

fn report(sent: rustix::io::Result<()>) {
    if let Err(error) = sent
        && error != rustix::io::Errno::SRCH
    {
        eprintln!("lanyard: the command could not be sent a signal: {error}");
    }
}

struct Process {
    id: i32,
    parent: i32,
    group: i32,
}

/// The living processes of this machine (proc_pid_stat(5)).
fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name of a program stands in parentheses and may hold some itself.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (!has_ended).then_some(Process { id, parent, group })
    };
    entries.filter_map(process).collect()
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

/// As a shell says it.
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

    /// The same where there is no command that a terminal could send them to.
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

/// Whether a terminal sends its signals to this process and what it starts, whatever their standard input is.
fn by_terminal() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    let group = terminal
        .ok()
        .and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
    group == Some(rustix::process::getpgrp())
}
