//! Measures the lint of a thousand charters and of the largest accepted file, compared with a plain
//! parse of the same YAML.

use anyhow::{Result, bail};
use lanyard_charter::{World, parse};
use lanyard_document::{MAX_DOCUMENT_BYTES, read};

use crate::stopwatch;

const CHARTERS: usize = 1000;
const GOOD: [&str; 3] = [
    include_str!("../../../tests/charters/good/payments-terraform.yaml"),
    include_str!("../../../tests/charters/good/ticket-router.yaml"),
    include_str!("../../../tests/charters/good/incident-triage.yaml"),
];

pub(crate) fn run() -> Result<()> {
    let declared = include_str!("../../../tests/charters/lanyard.yaml");
    let Ok(world) = World::of_configuration(declared) else {
        bail!("the declared environments cannot be read");
    };
    let texts: Vec<&str> = GOOD.into_iter().cycle().take(CHARTERS).collect();
    // A process reads the table of AWS actions once, which is not part of the measurement.
    drop(parse(GOOD[0], &world));
    let began = stopwatch();
    for text in &texts {
        if read(text).is_err() {
            bail!("a charter is not YAML");
        }
    }
    let plain = began.elapsed();
    let began = stopwatch();
    for text in &texts {
        if parse(text, &world).is_err() {
            bail!("a charter is invalid");
        }
    }
    let linted = began.elapsed();
    println!(
        "lint of {CHARTERS} charters, {} bytes",
        texts.iter().map(|t| t.len()).sum::<usize>()
    );
    println!("  plain YAML  {plain:>9.2?}");
    println!(
        "  lint        {linted:>9.2?}   {:.1} times the plain parse",
        linted.as_secs_f64() / plain.as_secs_f64()
    );

    // The largest charter has the most actions and prohibitions, and lint compares each action with
    // each prohibition.
    let (head, tail) = GOOD[0].split_once("  prohibited:").unwrap_or_default();
    let patterns: Vec<String> = (0..200).map(|n| format!("s3:X*{n}*")).collect();
    let (_, rest) = tail.split_once("  plans:").unwrap_or_default();
    let prohibited =
        format!("  prohibited:\n    - {{aws: {patterns:?}, reason: r}}\n  plans:{rest}");
    let mut large = head.to_owned();
    for grant in 0..198 {
        let actions: Vec<String> = (0..190).map(|n| format!("s3:Get{n}")).collect();
        let actions = actions.join(", ");
        let more = format!(
            "    - name: g{grant}\n      role: plan\n      environments: [production]\n      aws: {{target: payments-prod, allow: [{{actions: [{actions}], resources: [\"*\"]}}]}}\n"
        );
        if large.len() + more.len() + prohibited.len() < MAX_DOCUMENT_BYTES {
            large.push_str(&more);
        }
    }
    large.push_str(&prohibited);
    let began = stopwatch();
    let plain = read(&large).is_ok();
    let read = began.elapsed();
    let began = stopwatch();
    let findings = parse(&large, &world).err().unwrap_or_default();
    println!(
        "  a hostile file of {} bytes: plain YAML {read:.2?} ({plain}), lint {:.2?} with {} findings",
        large.len(),
        began.elapsed(),
        findings.len()
    );
    Ok(())
}
