//! What the documentation says of metrics is there.

use std::collections::BTreeSet;

use anyhow::Result;
use lanyard_tests::{Stage, until};

const RULES: &str = include_str!("../../docs/prometheus/lanyard.rules.yaml");
const DASHBOARD: &str = include_str!("../../charts/lanyard/dashboards/lanyard.json");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

/// Every name of a metric in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !word(c));
    words.filter(|word| word.starts_with("lanyard_")).collect()
}

#[test]
fn every_metric_that_a_rule_a_dashboard_or_the_documentation_names_is_served() -> Result<()> {
    let address = lanyard_rig::free_port()?;
    let stage = Stage::configured(&[], &format!("metrics_listen: {address}"))?;
    stage.oncall.ok(&["drill"])?;
    stage.token(&stage.task()?)?;
    let mut served = String::new();
    until(|| {
        served = stage
            .daemon
            .http_on(address, "/metrics")
            .unwrap_or_default();
        Ok(served.contains("lanyard_drill_dead_seconds{"))
    })?;
    let served = named(&served);
    // What only a target has that waits for a provider, or whose provider has a clock of its own.
    let elsewhere = [
        "lanyard_revocations_worst_case_timestamp_seconds",
        "lanyard_target_clock_skew_seconds",
        // What only a charter has that ends.
        "lanyard_charter_expire_timestamp_seconds",
    ];
    for text in [RULES, DASHBOARD, CONFIGURATION] {
        let named = named(text);
        assert!(!named.is_empty());
        let missing: Vec<_> = named
            .difference(&served)
            .filter(|name| !elsewhere.contains(name))
            .collect();
        assert_eq!(missing, [&""; 0]);
    }
    Ok(())
}
