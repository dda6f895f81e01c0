//! The command itself: it gets the signals that we get, is stopped with the task, and its end is ours.

use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use lanyard_agent::{Connection, Proxied};
use lanyard_client::v1::task_service_client::TaskServiceClient;
use lanyard_client::{Stop, Stops, v1};
use rustix::process::{Pid, Signal, kill_process};
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

/// Starts it.
pub(crate) fn start(mut command: Command) -> Result<Child, NotRun> {
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
    let tell = |signal: Signal| {
        if let Some(process) = process
            && let Err(error) = kill_process(process, signal)
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
                        deadline = Some(tokio::time::Instant::now() + GRACE);
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
        let by_terminal = std::io::stdin().is_terminal() && in_foreground();
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

    async fn next(&mut self) -> Signal {
        match self.arrived.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

fn in_foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(std::io::stdin());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}
