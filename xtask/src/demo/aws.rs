//! The AWS account of the story, which moto plays.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use lanyard_rig::Aws;

/// The grants of the story's charter on the account.
pub(super) const GRANTS: &str = "
    - name: read-queue
      role: plan
      environments: [production]
      aws:
        target: account
        allow:
          - actions: [sqs:GetQueueAttributes, sqs:GetQueueUrl]
            resources: [\"arn:aws:sqs:eu-west-1:123456789012:orders\"]
    - name: purge-queue
      role: apply
      environments: [production]
      aws:
        target: account
        allow:
          - actions: [sqs:GetQueueUrl, sqs:PurgeQueue]
            resources: [\"arn:aws:sqs:eu-west-1:123456789012:orders\"]
        destructive: [sqs:PurgeQueue]
";

/// The call that the agent makes with its plan credential.
pub(super) const READ: &[&str] = &["sqs", "get-queue-url", "--queue-name", "orders"];

/// Returns the target of the daemon's configuration, and the file with the broker's own two
/// principals.
pub(super) fn target(aws: &Aws, directory: &Path) -> Result<(String, PathBuf)> {
    let account = aws.account("shop", directory)?;
    let made = aws.admin(&["sqs", "create-queue", "--queue-name", "orders"])?;
    if made.code != 0 {
        bail!("the queue could not be made: {}", made.stderr);
    }
    let target = format!(
        "account: {{kind: aws, region: eu-west-1, endpoint: \"{}\", plan_role: \"{}\", apply_role: \"{}\", \
         minter_profile: {}, revoker_profile: {}}}\n",
        aws.url(),
        account.plan_role,
        account.apply_role,
        account.minter,
        account.revoker
    );
    Ok((target, account.credentials))
}

/// Runs the `aws` command line with `process` as its credential process.
pub(super) fn works(aws: &Aws, directory: &Path, process: &str) -> Result<()> {
    let answer = aws.through(process, directory, READ)?;
    if answer.code != 0 {
        bail!("aws ended with {}: {}", answer.code, answer.stderr);
    }
    let line: String = answer.stdout.split_whitespace().collect();
    println!("         {line}");
    Ok(())
}

/// Runs the `aws` command line as [`works`] does, and fails unless the call is refused.
pub(super) fn refused(
    aws: &Aws,
    directory: &Path,
    process: &str,
    arguments: &[&str],
) -> Result<()> {
    let answer = aws.through(process, directory, arguments)?;
    if answer.code == 0 || !answer.stderr.contains("AccessDenied") {
        bail!("aws was not refused: {} {}", answer.stdout, answer.stderr);
    }
    println!("         AccessDenied");
    Ok(())
}
