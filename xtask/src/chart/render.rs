//! Checks what the chart renders for each scenario, with the daemon and the command line as readers
//! of the files in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Chart, made};

/// Values that the schema takes and the templates refuse, with the message of the refusal.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[r#"config={"data_dir":"/data"}"#],
        "config.data_dir: the chart sets this field",
    ),
    (
        &[r#"config={"tls":{}}"#],
        "config.tls: the chart sets this field",
    ),
    (
        &[r#"tls={"secretName":"mine","certManager":{"enabled":true}}"#],
        "name a Secret in `secretName`, or enable `certManager`; not both",
    ),
    (
        &[r#"kubernetesTarget={"namespaces":["shop"],"leaseNamespace":"lanyard"}"#],
        "leases need a namespace of their own",
    ),
    (
        &[r#"kubernetesTarget={"namespaces":["lanyard"]}"#],
        "`lanyard` is the broker's own namespace",
    ),
    (
        &[r#"kubernetesTarget={"namespaces":["lanyard-leases"]}"#],
        "`lanyard-leases` holds the leases",
    ),
    (
        &[
            r#"kubernetes={"agents":false}"#,
            r#"operators={"alice":{"roles":["viewer"]}}"#,
        ],
        "operators: they are service accounts of this cluster",
    ),
    (
        &[r#"kubernetesTarget={"namespaces":["shop"],"drillNamespace":"shopp"}"#],
        "kubernetesTarget.drillNamespace: `shopp` is none of kubernetesTarget.namespaces",
    ),
    (
        &[r#"tls={"certManager":{"enabled":true}}"#],
        "tls.certManager.issuerRef: name the issuer",
    ),
    (
        &[r#"backup={"enabled":true}"#],
        "backup.claim: name a PersistentVolumeClaim",
    ),
    (
        &[
            r#"backup={"enabled":true,"claim":"copies"}"#,
            r#"persistence={"enabled":false}"#,
        ],
        "backup: without `persistence` there is no volume",
    ),
    (
        &[r#"ingress={"enabled":true}"#],
        "ingress.host: name the host",
    ),
];

/// The files that give the broker its rights where somebody sets it up by hand; the scenario
/// `production` has all of them.
const RIGHTS: [&str; 4] = [
    "docs/kubernetes/cluster.yaml",
    "docs/kubernetes/namespaces.yaml",
    "docs/kubernetes/charter-objects.yaml",
    "docs/kubernetes/charter-webhook.yaml",
];

/// Compares, line by line, the rights that the chart gives with those of the documented files.
fn gives_rights(text: &str) -> Result<()> {
    for file in RIGHTS {
        let documented = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
        let rules = documented.lines().map(str::trim);
        for rule in rules
            .filter(|line| line.starts_with("- {apiGroups") || line.starts_with("- {nonResource"))
        {
            ensure!(
                text.contains(rule),
                "the chart does not give `{rule}` of {file}"
            );
        }
    }
    Ok(())
}

pub(super) fn check(chart: &Chart) -> Result<()> {
    for scenario in scenarios(chart)? {
        let name = scenario.file_stem().unwrap_or_default().to_string_lossy();
        let folder = chart.folder.to_string_lossy();
        let values = scenario.to_string_lossy();
        let lint = chart.helm(&["lint", "--strict", &folder, "--values", &values])?;
        ensure!(
            lint.0,
            "helm lint of scenario `{name}`: {}{}",
            lint.1,
            lint.2
        );
        let (ok, text, why) = chart.rendered(Some(&scenario), &[])?;
        ensure!(ok, "scenario `{name}` does not render: {why}");
        let golden = chart.folder.join(format!("tests/golden/{name}.yaml"));
        made(&golden, &masked(&text))?;
        believed(&text).with_context(|| format!("scenario `{name}`"))?;
        if name == "production" {
            gives_rights(&text)?;
        }
        println!("chart: scenario {name}");
    }
    for (set, says) in REFUSED {
        let (ok, _, why) = chart.rendered(None, set)?;
        ensure!(!ok, "{set:?} renders, and should be refused");
        ensure!(
            why.contains(says),
            "{set:?} is refused with `{why}`, not `{says}`"
        );
    }
    Ok(())
}

fn scenarios(chart: &Chart) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(chart.folder.join("tests/scenarios"))?;
    let files: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files?;
    files.sort();
    Ok(files)
}

/// Masks in the text what each rendering draws anew (keys, certificates, tokens), and leaves out
/// the dashboard, which is a copy.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let (mut in_pem, mut in_dashboard) = (false, false);
    for line in text.lines() {
        in_dashboard &= line.starts_with("    ");
        if in_dashboard {
            continue;
        }
        in_dashboard = line == "  lanyard.json: |";
        let key = line.trim_start().split(": ").next().unwrap_or_default();
        if line.contains("-----BEGIN ") {
            in_pem = true;
        }
        let is_drawn = ["ca.crt", "caBundle", "tls.crt", "tls.key", "token"].contains(&key)
            && line.len() > 50
            && !line.contains('{');
        if is_drawn {
            let indent = line.len() - line.trim_start().len();
            masked.push_str(&format!("{}{key}: DRAWN\n", " ".repeat(indent)));
        } else if !in_pem {
            masked.push_str(line);
            masked.push('\n');
        } else if line.contains("-----END ") {
            let indent = line.len() - line.trim_start().len();
            masked.push_str(&format!("{}DRAWN\n", " ".repeat(indent)));
        }
        if line.contains("-----END ") {
            in_pem = false;
        }
    }
    masked
}

/// Checks that the daemon takes the configuration and that lint takes the charters.
fn believed(text: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let config = block(text, "lanyardd.yaml").context("no lanyardd.yaml is rendered")?;
    let file = directory.path().join("lanyardd.yaml");
    // The pod's /run and /var are folders of the temporary directory here.
    let here = directory.path().to_string_lossy().into_owned();
    let config = config
        .replace("/run/lanyard/", &format!("{here}/"))
        .replace("/var/lib/lanyard", &format!("{here}/var"));
    std::fs::write(&file, config)?;
    let charters = directory.path().join("charters");
    std::fs::create_dir(&charters)?;
    let listed = text.split("-charters\n").nth(1).unwrap_or_default();
    let listed = listed.split("\n---\n").next().unwrap_or_default();
    for line in listed.lines() {
        if let Some(name) = line.trim().strip_suffix(".yaml: |") {
            let name = format!("{name}.yaml");
            let charter = block(listed, &name).with_context(|| name.clone())?;
            std::fs::write(charters.join(&name), charter)?;
        }
    }
    // A file in the place of its data directory keeps the daemon from going on once it has read the
    // configuration.
    std::fs::create_dir(directory.path().join("var"))?;
    std::fs::write(directory.path().join("var/data"), "")?;
    let binaries = lanyard_rig::binaries()?;
    let said = Command::new(binaries.join("lanyardd"))
        .args(["serve", "--config"])
        .arg(&file)
        .output()
        .context("lanyardd does not start")?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    ensure!(
        said.contains("is no directory"),
        "lanyardd refuses the rendered configuration: {said}"
    );
    for charter in std::fs::read_dir(&charters)? {
        let charter = charter?.path();
        let linted = Command::new(binaries.join("lanyard"))
            .args(["charter", "lint", "--config"])
            .args([&file, &charter])
            .output()
            .context("lanyard does not start")?;
        let said = String::from_utf8_lossy(&linted.stdout).into_owned();
        ensure!(
            linted.status.success(),
            "lint of `{}`: {said}",
            charter.display()
        );
    }
    Ok(())
}

/// Finds the text of a block scalar: the lines that are indented beneath `key: |`.
fn block(text: &str, key: &str) -> Option<String> {
    let head = format!("{key}: |");
    let mut lines = text.lines().skip_while(|line| line.trim() != head);
    let first = lines.next()?;
    let indent = first.len() - first.trim_start().len();
    let mut block = String::new();
    for line in lines {
        let is_within = line.len() - line.trim_start().len() > indent;
        if !line.trim().is_empty() && !is_within {
            break;
        }
        block.push_str(line.get(indent + 2..).unwrap_or_default());
        block.push('\n');
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_anew_is_masked_and_nothing_else() {
        let drawn = "x".repeat(60);
        let text = format!(
            "a: 1\n  tls.key: {drawn}\n  ca.crt: |\n    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----\nb: 2\n"
        );
        let expected = "a: 1\n  tls.key: DRAWN\n  ca.crt: |\n    DRAWN\nb: 2\n";
        assert_eq!(masked(&text), expected);
    }

    #[test]
    fn a_block_ends_with_its_indentation() {
        let text = "data:\n  one: |\n    a: 1\n    b:\n      c: 2\n  two: |\n    d: 3\n";
        assert_eq!(block(text, "one").as_deref(), Some("a: 1\nb:\n  c: 2\n"));
        assert_eq!(block(text, "two").as_deref(), Some("d: 3\n"));
        assert_eq!(block(text, "three"), None);
    }
}
