//! The recording at the top of README.md: what a terminal shows of a credential, a denial and a
//! kill, drawn as SVG. `LANYARD_UPDATE=1` draws it anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use lanyard_tests::Stage;

use crate::on_call::undrawn;

/// The lines that are typed, in order, each with the seconds that a reader needs for the output.
const TYPED: [(&str, u32); 5] = [
    (
        "TASK=$(lanyard -o name task open ticket-router --environment production --reason 'ticket 12')",
        2,
    ),
    (
        "lanyard creds token read-tickets --task $TASK | cut -c1-60",
        3,
    ),
    ("lanyard request move-tickets --task $TASK", 4),
    (
        "lanyard --context oncall kill --charter ticket-router --reason 'it loops' --yes",
        5,
    ),
    ("lanyard creds token read-tickets --task $TASK", 5),
];

const COLUMNS: usize = 100;

/// Sizes of the drawing, in pixels.
const CHARACTER: f32 = 8.0;
const LINE: usize = 20;
const MARGIN: usize = 20;

/// Runs everything in one shell, on a terminal (script(1)).
fn shown(stage: &Stage) -> Result<String> {
    let home = stage.directory.path().join("home");
    let contexts = home.join(".config/lanyard/contexts");
    std::fs::create_dir_all(&contexts)?;
    for name in ["agent", "oncall"] {
        let text =
            std::fs::read_to_string(stage.directory.path().join(format!("contexts/{name}.json")))?;
        let here = stage.directory.path().display();
        std::fs::write(
            contexts.join(format!("{name}.json")),
            text.replace("\"../", &format!("\"{here}/")),
        )?;
    }
    std::fs::write(home.join(".config/lanyard/current"), "agent\n")?;
    let mut script = format!("stty cols {COLUMNS} rows 40\n");
    for (command, _) in TYPED {
        let quoted = command.replace('\'', r"'\''");
        writeln!(script, "printf '\\n\\001%s\\n' '{quoted}'\n{command}")?;
    }
    let file = stage.directory.path().join("typed.sh");
    std::fs::write(&file, script)?;
    let binaries = lanyard_rig::binaries()?;
    let path = std::env::var("PATH")?;
    let output = Command::new("script")
        .args(["--quiet", "--command"])
        .arg(format!("sh {}", file.display()))
        .arg("/dev/null")
        .env_clear()
        .env("PATH", format!("{}:{path}", binaries.display()))
        .env("HOME", &home)
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .env("LANYARD_DIRECT", "1")
        .stdin(Stdio::null())
        .output()
        .context("script does not start")?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// A piece of a line in one colour.
struct Piece {
    text: String,
    /// The SGR code of its colour, or of bold.
    code: u8,
}

/// Lines as they stand when all is over: what was drawn over is gone, and what a terminal breaks is
/// broken.
fn lines(shown: &str) -> Vec<Vec<Piece>> {
    let mut lines = Vec::new();
    for line in undrawn(shown) {
        let line = line.rsplit("\r\u{1b}[K").next().unwrap_or_default();
        let (line, typed) = match line.strip_prefix('\u{1}') {
            Some(command) => (format!("$ {command}"), 1),
            None => (without_what_differs(line), 0),
        };
        let mut pieces = Vec::new();
        for (number, part) in line.split("\u{1b}[").enumerate() {
            let (code, text) = match part.split_once('m') {
                Some((code, text)) if number > 0 => (code.parse().unwrap_or(0), text),
                Some(_) | None => (typed, part),
            };
            if !text.is_empty() {
                let text = text.to_owned();
                pieces.push(Piece { text, code });
            }
        }
        lines.extend(broken(pieces));
    }
    lines
}

/// A line as the terminal breaks it, at its last column.
fn broken(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let (mut lines, mut line, mut column) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let mut text = String::new();
        for character in piece.text.chars() {
            if column == COLUMNS {
                let (text, code) = (std::mem::take(&mut text), piece.code);
                line.push(Piece { text, code });
                lines.push(std::mem::take(&mut line));
                column = 0;
            }
            text.push(character);
            column += 1;
        }
        let code = piece.code;
        line.push(Piece { text, code });
    }
    lines.push(line);
    lines
}

/// Ids, times and secrets of this run, each as long as it was: the columns stay.
fn without_what_differs(line: &str) -> String {
    let mut text = String::new();
    let mut word = String::new();
    for character in line.chars().chain(['\n']) {
        if character.is_ascii_alphanumeric() || "-_:.".contains(character) {
            word.push(character);
            continue;
        }
        text.push_str(&always(&word));
        word.clear();
        if character != '\n' {
            text.push(character);
        }
    }
    text
}

/// A word as it is at any time: what differs from run to run (times, identifiers, tokens) is always
/// the same.
fn always(word: &str) -> String {
    if let Some(before) = word.strip_suffix(':') {
        return format!("{}:", always(before));
    }
    const TOKEN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6IjAxSkQ0WjNRSyJ9";
    const ID: &str = "01KBA7M4X8R2V5T9W3Y6Z0C1DE";
    let is_time = word.len() == 20 && word.ends_with('Z') && word.get(10..11) == Some("T");
    if is_time {
        return "2026-11-30T03:00:12Z".to_owned();
    }
    let number = word.strip_suffix('s').unwrap_or(word);
    if number.contains('.') && number.parse::<f64>().is_ok() {
        return word.replace(number, "0.004");
    }
    match word.split_once('-') {
        Some((kind, id)) if kind.len() == 1 && id.len() == ID.len() => format!("{kind}-{ID}"),
        Some(_) | None if word.starts_with("eyJ") => {
            TOKEN.get(..word.len()).unwrap_or(TOKEN).to_owned()
        }
        Some(_) | None => word.to_owned(),
    }
}

/// The drawing: each command comes when its time is there, with what came of it.
fn drawn(lines: &[Vec<Piece>]) -> Result<String> {
    let width = COLUMNS as f32 * CHARACTER + 2.0 * MARGIN as f32;
    let height = lines.len() * LINE + 3 * MARGIN;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="A terminal with lanyard">
<style>
  text {{ font: 13.3px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d6deeb; white-space: pre; }}
  .typed {{ fill: #ffffff; font-weight: bold; }} .red {{ fill: #ff7b72; }} .green {{ fill: #7ee787; }} .yellow {{ fill: #e3b341; }}
  g {{ opacity: 0; animation: come .2s forwards; }}
  @keyframes come {{ to {{ opacity: 1; }} }}
  @media (prefers-reduced-motion: reduce) {{ g {{ animation: none; opacity: 1; }} }}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<circle cx="20" cy="18" r="5" fill="#ff5f56"/><circle cx="38" cy="18" r="5" fill="#ffbd2e"/><circle cx="56" cy="18" r="5" fill="#27c93f"/>
"##
    );
    let (mut command, mut seconds) = (0, 0);
    for (number, line) in lines.iter().enumerate() {
        let is_typed = line
            .first()
            .is_some_and(|piece| piece.code == 1 && piece.text.starts_with("$ "));
        if is_typed {
            if command > 0 {
                svg.push_str("</g>\n");
                seconds += TYPED.get(command - 1).context("no such command")?.1;
            }
            command += 1;
            writeln!(svg, r#"<g style="animation-delay: {seconds}s">"#)?;
        }
        let y = number * LINE + 3 * MARGIN;
        write!(svg, r#"<text x="{MARGIN}" y="{y}">"#)?;
        for piece in line {
            let text = escaped(&piece.text);
            match piece.code {
                1 => write!(svg, r#"<tspan class="typed">{text}</tspan>"#)?,
                31 => write!(svg, r#"<tspan class="red">{text}</tspan>"#)?,
                32 => write!(svg, r#"<tspan class="green">{text}</tspan>"#)?,
                33 => write!(svg, r#"<tspan class="yellow">{text}</tspan>"#)?,
                _ => svg.push_str(&text),
            }
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(svg)
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn the_recording_of_the_readme_shows_what_the_commands_print() -> Result<()> {
    let stage = Stage::set()?;
    let drawn = drawn(&lines(&shown(&stage)?))?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/first-minute.svg");
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        std::fs::write(&path, &drawn)?;
    }
    let golden = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert_eq!(drawn, golden, "LANYARD_UPDATE=1 draws it anew");
    Ok(())
}
