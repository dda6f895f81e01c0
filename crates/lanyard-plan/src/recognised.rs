//! Recognition of a plan's format from its bytes, and names for files that are no plans.

use lanyard_charter::plan::PlanFormat;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::manifests;
use crate::shown::line;

/// First bytes of files that are no text, and what to submit instead.
const SIGNATURES: &[(&[u8], &str)] = &[
    (
        b"PK\x03\x04",
        "it is a zip archive, as `terraform plan -out=FILE` writes one: submit what `terraform show -json FILE` prints (`tofu show \
         -json FILE` for OpenTofu)",
    ),
    (
        b"PK\x05\x06",
        "it is an empty zip archive: submit what `terraform show -json FILE` prints",
    ),
    (
        b"tfplan",
        "it is a plan file of Terraform before 0.12: plan again with Terraform 0.12 or later, and submit what `terraform show -json \
         FILE` prints",
    ),
    (
        b"\x1f\x8b",
        "it is compressed with gzip: submit what is in it; of a chart, what `helm template` prints",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "it is compressed with zstd: submit what is in it",
    ),
    (
        b"\xfd7zXZ\x00",
        "it is compressed with xz: submit what is in it",
    ),
    (b"BZh", "it is compressed with bzip2: submit what is in it"),
    // UTF-32 comes before UTF-16, whose mark begins the mark of UTF-32.
    (b"\xff\xfe\x00\x00", UTF_32),
    (b"\x00\x00\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];
const UTF_16: &str = "it is UTF-16, as `>` of Windows PowerShell writes it: write it as UTF-8 (`… | Out-File -Encoding utf8 FILE`, \
                      or use PowerShell 7)";
const UTF_32: &str = "it is UTF-32: write it as UTF-8";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns the text of a plan without its byte order mark.
///
/// # Errors
/// The kind of the file, and what to submit instead.
pub(crate) fn text(content: &[u8]) -> Result<&str, String> {
    let signed = |(begin, _): &&(&[u8], &str)| content.starts_with(begin);
    if let Some((_, why)) = SIGNATURES.iter().find(signed) {
        return Err((*why).to_owned());
    }
    match content {
        // UTF-16 without a mark shows by the zero bytes between ASCII characters.
        [0, first, 0, second, ..] | [first, 0, second, 0, ..] if *first > 0 && *second > 0 => {
            return Err(UTF_16.to_owned());
        }
        _ => {}
    }
    let text = std::str::from_utf8(content).map_err(|error| {
        let at = error.valid_up_to();
        let before = content.get(..at).unwrap_or_default();
        let row = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {row}: byte {at} is not UTF-8: write the file as UTF-8")
    })?;
    if let Some(at) = text.find('\0') {
        return Err(format!(
            "byte {at} is zero, so it is no text: submit the plan as text"
        ));
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(
            "it is empty: whatever was to write it failed, or wrote to another file".to_owned(),
        );
    }
    Ok(text)
}

/// Recognises the format of a plan.
///
/// # Errors
/// The kind of the text, or the formats between which the submitter must choose.
pub(crate) fn form(text: &str) -> Result<PlanFormat, String> {
    let begin = text.trim_start();
    if begin.starts_with("diff ") && begin.lines().take(3).any(|line| line.contains("/LIVE-")) {
        return Ok(PlanFormat::ManifestDiff);
    }
    alone(text)?;
    if begin.starts_with(['{', '[']) {
        return json(begin);
    }
    let has = |field: &str| text.lines().any(|line| is_field(line, field));
    if !(has("apiVersion") && has("kind")) {
        return Ok(PlanFormat::Text);
    }
    manifests::parse(text)
        .map(|_| PlanFormat::Manifests)
        .map_err(|why| {
            format!(
                "it looks like Kubernetes manifests, and is none: {why}{}",
                for_words()
            )
        })
}

const fn for_words() -> &'static str {
    "; if it is meant to be read by people alone, submit it with the form `text`"
}

/// Checks that no other output surrounds a plan that Terraform printed.
///
/// # Errors
/// The foreign line, and how to keep it out of the file.
fn alone(text: &str) -> Result<(), String> {
    no_wrapper(text)?;
    let begins = text.trim_start().starts_with('{');
    match first_of_plan(text).filter(|_| !begins) {
        Some(row) => Err(behind_others(text, row)),
        None => Ok(()),
    }
}

/// Explains a text that is no Terraform plan, if its kind is recognised.
pub(crate) fn named(text: &str) -> Option<String> {
    if let Err(why) = alone(text) {
        return Some(why);
    }
    let begin = text.trim_start();
    let mut all = serde_json::Deserializer::from_str(begin).into_iter::<Peek>();
    let peek = all.next()?.ok()?;
    let rest = begin.get(all.byte_offset()..).unwrap_or_default();
    let other =
        peek.format_version.is_none() || peek.values.is_some() || peek.provider_schemas.is_some();
    (other || !rest.trim_ascii().is_empty()).then(|| json(begin).err())?
}

/// Refuses output of the setup-terraform wrapper, which prints the command and, with debug logging,
/// its arguments.
fn no_wrapper(text: &str) -> Result<(), String> {
    let is_its = |line: &&str| line.starts_with("[command]") || line.starts_with("::debug::");
    match text.lines().find(is_its) {
        None => Ok(()),
        Some(found) => Err(format!(
            "`{}` was printed by the wrapper of the action setup-terraform, not by Terraform: set `terraform_wrapper: false` there",
            begin_of(found)
        )),
    }
}

/// Returns the line, counted from zero, in which the JSON of `terraform show` begins.
fn first_of_plan(text: &str) -> Option<usize> {
    let starts =
        |line: &str| line.contains("{\"format_version\"") || line.contains("{ \"format_version\"");
    let after = text.lines().skip(1).chain(std::iter::once(""));
    let mut lines = text.lines().zip(after).enumerate();
    lines.find_map(|(row, (line, next))| {
        let opens = line.trim_end() == "{" && next.trim_start().starts_with("\"format_version\"");
        (opens || starts(line)).then_some(row)
    })
}

fn behind_others(text: &str, row: usize) -> String {
    let first = text.lines().find(|line| !line.trim().is_empty());
    format!(
        "`{}` stands before the plan, which begins in line {}: write the standard output of `terraform show -json FILE` alone into \
         the file (`2>&1` adds more, and so does a shell that prints)",
        begin_of(first.unwrap_or_default()),
        row + 1
    )
}

/// Returns the beginning of a line, enough to recognise it.
fn begin_of(text: &str) -> String {
    let begin: String = text.chars().take(60).collect();
    let more = if begin.len() < text.len() { "…" } else { "" };
    format!("{}{more}", line(&begin))
}

/// True if the line begins with the field, without indentation.
fn is_field(line: &str, field: &str) -> bool {
    let line = line.trim_start_matches(['"', '\'']);
    let rest = line
        .strip_prefix(field)
        .map(|rest| rest.trim_start_matches(['"', '\'']));
    rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// The fields that tell JSON documents apart.
#[derive(Deserialize)]
struct Peek {
    format_version: Option<IgnoredAny>,
    resource_changes: Option<IgnoredAny>,
    planned_values: Option<IgnoredAny>,
    /// Present in a state file.
    values: Option<IgnoredAny>,
    output_changes: Option<IgnoredAny>,
    configuration: Option<IgnoredAny>,
    provider_schemas: Option<IgnoredAny>,
    plan_format_version: Option<IgnoredAny>,
    /// Present in a plan file or a state that OpenTofu has encrypted.
    encrypted_data: Option<IgnoredAny>,
    lineage: Option<IgnoredAny>,
    serial: Option<IgnoredAny>,
    #[serde(rename = "@level")]
    level: Option<IgnoredAny>,
    #[serde(rename = "@message")]
    message: Option<IgnoredAny>,
    #[serde(rename = "apiVersion")]
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    #[serde(rename = "Resources")]
    resources: Option<IgnoredAny>,
    #[serde(rename = "AWSTemplateFormatVersion")]
    template: Option<IgnoredAny>,
}

fn json(text: &str) -> Result<PlanFormat, String> {
    if text.starts_with('[') {
        return Err(format!(
            "it is a list, and a plan is none: Kubernetes takes a `kind: List`, or one object behind the other{}",
            for_words()
        ));
    }
    let mut all = serde_json::Deserializer::from_str(text).into_iter::<Peek>();
    let peek = match all.next() {
        Some(Ok(peek)) => peek,
        Some(Err(error)) if error.is_eof() => {
            return Err(format!(
                "it begins as JSON and ends in the middle of it ({}): it was cut off while it was written",
                line(&error.to_string())
            ));
        }
        Some(Err(_)) if manifests::parse(text).is_ok() => return Ok(PlanFormat::Manifests),
        Some(Err(error)) => {
            return Err(format!(
                "it begins as JSON and is none: {}{}",
                line(&error.to_string()),
                for_words()
            ));
        }
        None => return Err("it is empty".to_owned()),
    };
    let planned = [
        &peek.resource_changes,
        &peek.planned_values,
        &peek.output_changes,
        &peek.configuration,
    ];
    if peek.level.is_some() && peek.message.is_some() {
        return Err(
            "it is the log that `terraform plan -json` prints, a line for each event, and not the plan: plan with `terraform plan \
             -out=FILE`, and submit what `terraform show -json FILE` prints"
                .to_owned(),
        );
    }
    if peek.format_version.is_some() && peek.provider_schemas.is_some() {
        return Err("it is what `terraform providers schema -json` prints, and no plan".to_owned());
    }
    if peek.format_version.is_some() {
        if planned.iter().any(|field| field.is_some()) {
            let rest = text
                .get(all.byte_offset()..)
                .unwrap_or_default()
                .trim_start();
            if first_of_plan(rest).is_some() {
                return Err(
                    "it holds more than one plan, as `terragrunt run --all -- show -json` prints them: submit each by itself"
                        .to_owned(),
                );
            }
            if let Some(behind) = rest.lines().next() {
                return Err(format!(
                    "`{}` stands behind the plan: write the standard output of `terraform show -json FILE` alone into the file",
                    begin_of(behind)
                ));
            }
            return Ok(PlanFormat::TerraformJson);
        }
        return Err(
            "it is a state, which `terraform show -json` prints where no plan file is named: submit what `terraform show -json FILE` \
             prints, with the FILE of `terraform plan -out=FILE`"
                .to_owned(),
        );
    }
    if peek.encrypted_data.is_some() {
        return Err(
            "it is a plan file or a state that OpenTofu has encrypted: submit what `tofu show -json FILE` prints where the key is"
                .to_owned(),
        );
    }
    if peek.plan_format_version.is_some() {
        return Err(
            "it is a plan as HCP Terraform stores it for its own pages: submit the JSON output of the run's plan \
             (`/api/v2/plans/ID/json-output`)"
                .to_owned(),
        );
    }
    if peek.serial.is_some() && peek.lineage.is_some() {
        return Err(
            "it is a state file of Terraform, and no plan: submit what `terraform show -json FILE` prints, with the FILE of \
             `terraform plan -out=FILE`"
                .to_owned(),
        );
    }
    if peek.api_version.is_some() && peek.kind.is_some() {
        return Ok(PlanFormat::Manifests);
    }
    let what = if peek.template.is_some() || peek.resources.is_some() {
        "it is a template of CloudFormation, whose form Lanyard does not read"
    } else {
        "it is JSON, and neither a plan of Terraform nor an object of Kubernetes"
    };
    Err(format!("{what}{}", for_words()))
}
