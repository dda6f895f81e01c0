//! `cargo xtask chart`: checks that charts/lanyard does what it says. It runs lint and the unit
//! tests, compares what each scenario renders, lets the daemon read the rendered configuration, and
//! tries every value of the schema wrong. `LANYARD_UPDATE=1` writes the generated files anew.

mod render;
mod schema;
mod values;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lanyard_rig::HelmTools;

/// The chart's folder in this repository.
const CHART: &str = "charts/lanyard";
/// Files of the documentation, each with its copy in the chart, which a chart's archive needs.
const COPIES: [[&str; 2]; 2] = [
    [
        "docs/prometheus/lanyard.rules.yaml",
        "charts/lanyard/files/lanyard.rules.yaml",
    ],
    [
        "docs/kubernetes/charter-crd.yaml",
        "charts/lanyard/files/charter-crd.yaml",
    ],
];

/// The chart, with the helm that renders it.
struct Chart {
    tools: HelmTools,
    folder: PathBuf,
}

/// Builds the binaries, and checks the chart.
pub(crate) fn run() -> Result<()> {
    crate::build::binaries()?;
    check(lanyard_rig::helm()?)
}

/// Checks the chart after another command has built the binaries; the answer says so where there is
/// no Go to build helm with.
pub(crate) fn within_test() -> Result<String> {
    match lanyard_rig::helm() {
        Ok(tools) => {
            check(tools)?;
            Ok("ran: the chart, with helm".to_owned())
        }
        Err(error) => Ok(format!("DID NOT RUN: the chart, with helm: {error:#}")),
    }
}

fn check(tools: HelmTools) -> Result<()> {
    let chart = Chart {
        tools,
        folder: PathBuf::from(CHART),
    };
    for copy in COPIES {
        copied(copy)?;
    }
    values::check(&chart)?;
    render::check(&chart)?;
    schema::check(&chart)?;
    crate::build::succeed(
        Command::new(&chart.tools.unittest)
            .args(["--file", "tests/*_test.yaml"])
            .arg(&chart.folder),
    )?;
    println!("chart: ok");
    Ok(())
}

/// Fails unless the file `to` is a copy of `from`.
fn copied([from, to]: [&str; 2]) -> Result<()> {
    let text = std::fs::read_to_string(from).with_context(|| from.to_owned())?;
    made(Path::new(to), &text)
}

/// Fails unless the file holds `text`; with `LANYARD_UPDATE` it is written.
fn made(path: &Path, text: &str) -> Result<()> {
    if std::env::var_os("LANYARD_UPDATE").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        return std::fs::write(path, text).with_context(|| path.display().to_string());
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there == text {
        return Ok(());
    }
    let mut lines = there.lines().zip(text.lines()).enumerate();
    let first = lines.find(|(_, (there, made))| there != made);
    let place = first.map_or_else(
        || "the end differs".to_owned(),
        |(line, (there, made))| format!("line {} is `{there}` and should be `{made}`", line + 1),
    );
    bail!(
        "`{}` is out of date ({place}): run `LANYARD_UPDATE=1 cargo xtask chart`, and read the difference",
        path.display()
    )
}

impl Chart {
    /// Runs helm with these arguments, and returns whether it succeeded and all that it printed.
    fn helm(&self, arguments: &[&str]) -> Result<(bool, String, String)> {
        let mut command = Command::new(&self.tools.helm);
        // Nothing of the machine's own helm may change the result: no repositories, no plugins, no
        // cluster.
        command.args(arguments).env("HELM_NO_PLUGINS", "1");
        command.env_remove("KUBECONFIG");
        let output = command.output().context("helm does not start")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((
            output.status.success(),
            text(&output.stdout),
            text(&output.stderr),
        ))
    }

    /// Renders the chart with a file of values and these `--set-json`.
    fn rendered(&self, values: Option<&Path>, set: &[&str]) -> Result<(bool, String, String)> {
        let folder = self.folder.to_string_lossy();
        let mut arguments = vec!["template", "lanyard", &folder, "--namespace", "lanyard"];
        arguments.extend(["--kube-version", "1.36.0"]);
        let values = values.map(|file| file.to_string_lossy().into_owned());
        if let Some(values) = &values {
            arguments.extend(["--values", values.as_str()]);
        }
        for set in set {
            arguments.extend(["--set-json", set]);
        }
        self.helm(&arguments)
    }
}
