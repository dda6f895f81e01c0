//! The command itself: it gets the signals that we get, is stopped with the task, and its end is ours.

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
    /// SIGTERM, and SIGKILL after ten seconds.
    Term,
    /// SIGKILL at once.
    Kill,
    /// Nothing: it finds out by its credentials.
    None,
}

/// How long a command has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
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

/// Waits for its end; the exit code that is to be ours.
pub(crate) async fn attend(
    (mut child, mut signals): (Child, Signals),
    (connection, task): (&Connection, &str),
    on_kill: OnKill,
) -> std::io::Result<u8> {
    let process = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let alone = by_terminal();
    let tell = |signal: Signal| {
        let send = if alone {
            kill_process
        } else {
            kill_process_group
        };
        if let Some(process) = process
            && let Err(error) = send(process, signal)
            && error != rustix::io::Errno::SRCH
        {
            eprintln!("lanyard: the command could not be sent a signal: {error}");
        }
    };
    let mut watch = tokio::task::JoinSet::new();
    let (news, mut stops) = mpsc::channel(4);
    watch.spawn(follow(
        TaskServiceClient::new(connection.proxied()),
        task.to_owned(),
        news,
    ));
    let mut deadline = None;
    loop {
        let grace = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = child.wait() => return ended.map(code),
            signal = signals.next() => tell(signal),
            Some(stop) = stops.recv() => {
                let (line, what) = said(&stop, on_kill);
                eprintln!("lanyard: {line}; {what}");
                match on_kill {
                    OnKill::Term => {
                        tell(Signal::TERM);
                        deadline.get_or_insert_with(|| tokio::time::Instant::now() + GRACE);
                    }
                    OnKill::Kill => tell(Signal::KILL),
                    OnKill::None => {}
                }
            }
            () = grace => {
                eprintln!("lanyard: it did not end; SIGKILL");
                tell(Signal::KILL);
                deadline = None;
            }
        }
    }
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
