//! The kill's screen, on stderr: a line a target with a bar, drawn in place on a terminal, and a
//! line a change elsewhere.

use std::time::Duration;

use crate::{terminal, text};
use lanyard_client::v1;

/// The width of a bar, in characters.
const BAR: u64 = 20;

pub(super) struct Screen {
    way: Way,
    shown: Vec<String>,
}

/// The way in which progress is shown.
enum Way {
    Drawn,
    Lines,
    /// Not at all: `--quiet`.
    None,
}

impl Screen {
    pub(super) fn new(quiet: bool) -> Self {
        let way = if quiet {
            Way::None
        } else if terminal::Screen::of(&std::io::stderr()).is_drawn() {
            Way::Drawn
        } else {
            Way::Lines
        };
        let shown = Vec::new();
        Self { way, shown }
    }

    pub(super) fn show(&mut self, report: &v1::WatchKillResponse) {
        match self.way {
            Way::None => {}
            Way::Drawn => {
                let columns = terminal::Screen::columns(&std::io::stderr());
                self.draw(lines(report, columns));
            }
            Way::Lines => {
                let line = counts(report);
                if !line.is_empty() && self.shown.last() != Some(&line) {
                    terminal::say(&line);
                    self.shown = vec![line];
                }
            }
        }
    }

    /// A line of its own, which stays.
    pub(super) fn say(&mut self, line: &str) {
        terminal::say(format_args!("lanyard: {}", text::line(line)));
        self.shown.clear();
    }

    /// Draws over the lines that stand there.
    fn draw(&mut self, lines: Vec<String>) {
        if lines == self.shown {
            return;
        }
        if !self.shown.is_empty() {
            eprint!("\x1b[{}A\x1b[J", self.shown.len());
        }
        lines.iter().for_each(|line| eprintln!("{line}"));
        self.shown = lines;
    }

    /// Ends the drawing; the lines that stand there stay.
    pub(super) fn end(&mut self) {
        self.shown.clear();
    }
}

fn counts(report: &v1::WatchKillResponse) -> String {
    let counts = [
        (report.dead, "dead"),
        (report.acknowledged, "acknowledged"),
        (report.requested, "requested"),
        (report.unswept, "fenced"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let parts = counts.map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// A line of the screen for each target, and no more: what is drawn over them counts them.
fn lines(report: &v1::WatchKillResponse, columns: Option<usize>) -> Vec<String> {
    let names = report.targets.iter();
    let names = names.map(|target| text::width(&text::cell(&target.target)));
    let width = names.max().unwrap_or(0).max("not yet swept".len());
    let mut lines: Vec<String> = report
        .targets
        .iter()
        .map(|target| line(target, width))
        .collect();
    if report.unswept > 0 {
        let name = "not yet swept";
        let name = text::padded(name, width);
        lines.push(format!("{name}  {} fenced", report.unswept));
    }
    match columns {
        Some(columns) => lines.iter().map(|line| text::cut(line, columns)).collect(),
        None => lines,
    }
}

/// `cluster  [##############------]  70 of 100 dead, 20 acknowledged, 10 requested; 99 % taken in
/// 1.2 s`
fn line(target: &v1::TargetReport, width: usize) -> String {
    let dead = target.presumed_dead + target.proved_dead + target.expired;
    let all = (dead + target.acknowledged + target.requested).max(1);
    let part = |count: u64| usize::try_from(count * BAR / all).unwrap_or(0);
    let (full, half) = (part(dead), part(dead + target.acknowledged) - part(dead));
    let rest = usize::try_from(BAR).unwrap_or(0) - full - half;
    let bar = format!(
        "{}{}{}",
        "#".repeat(full),
        "=".repeat(half),
        "-".repeat(rest)
    );
    let mut words = vec![format!("{dead} of {all} dead")];
    if target.acknowledged > 0 {
        words.push(format!("{} acknowledged", target.acknowledged));
    }
    if target.requested > 0 {
        words.push(format!("{} requested", target.requested));
    }
    let mut line = format!(
        "{}  [{bar}]  {}",
        text::padded(&text::cell(&target.target), width),
        words.join(", ")
    );
    if let Some(taken) = &target.taken_p99 {
        line.push_str(&format!("; 99 % taken in {}", span(taken)));
    }
    if !target.fault.is_empty() {
        line.push_str(&format!("; {}", text::line(&target.fault)));
    }
    line
}

/// `under 1 ms`, `0.012 s`, `8.1 s`, `5 min`.
pub(crate) fn span(span: &lanyard_client::Span) -> String {
    let seconds = u64::try_from(span.seconds).unwrap_or(0);
    let nanos = u32::try_from(span.nanos).unwrap_or(0);
    let span = Duration::new(seconds, nanos);
    match span.as_secs() {
        0 if span.as_micros() < 1000 => "under 1 ms".to_owned(),
        0 => format!("{:.3} s", span.as_secs_f64()),
        1..120 => format!("{:.1} s", span.as_secs_f64()),
        more => format!("{} min", more.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_one_line_of_the_screen_whatever_it_is_called() {
        for text in crate::text::tests::hostile() {
            let report = v1::WatchKillResponse {
                targets: vec![v1::TargetReport {
                    target: text.clone(),
                    fault: text,
                    ..v1::TargetReport::default()
                }],
                unswept: 1,
                ..v1::WatchKillResponse::default()
            };
            for columns in [Some(20), Some(80), None] {
                let drawn = lines(&report, columns);
                assert_eq!(drawn.len(), 2);
                for line in drawn {
                    assert!(!line.contains(char::is_control), "{line}");
                    assert!(columns.is_none_or(|columns| text::width(&line) <= columns));
                }
            }
        }
    }

    #[test]
    fn a_bar_shows_what_is_dead_and_what_is_on_its_way() {
        let target = v1::TargetReport {
            target: "cluster".to_owned(),
            proved_dead: 50,
            acknowledged: 25,
            requested: 25,
            fault: "no \u{1b}[2J answer".to_owned(),
            ..v1::TargetReport::default()
        };
        assert_eq!(
            line(&target, 8),
            "cluster   [##########=====-----]  50 of 100 dead, 25 acknowledged, 25 requested; no \\u{1b}[2J answer"
        );
    }
}
