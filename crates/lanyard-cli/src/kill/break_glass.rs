//! `lanyard kill break-glass`: a bearer token for `/v1/kill` by a key that does nothing else.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use lanyard_client::ticket::{self, Unsigned};

use crate::outcome::Outcome;

/// The size of a signature, in bytes.
const SIGNATURE: usize = 64;

#[derive(Args)]
pub(super) struct BreakGlass {
    /// The `audience` in the broker's configuration.
    #[arg(long)]
    audience: String,
    /// The key: Ed25519, PKCS #8.
    #[arg(
        long,
        required_unless_present = "public_key",
        conflicts_with = "public_key"
    )]
    key: Option<PathBuf>,
    /// The public half of a key that does not leave its hardware: 32 bytes in base64url.
    #[arg(long, requires = "sign_with")]
    public_key: Option<String>,
    /// The program that signs with the key: it reads the message and writes the 64 bytes of the
    /// signature.
    #[arg(long, value_name = "PROGRAM", requires = "public_key")]
    sign_with: Option<PathBuf>,
}

impl BreakGlass {
    pub(super) fn sign(self) -> Result<String, Outcome> {
        if let Some(key) = &self.key {
            return Ok(ticket::break_glass(key, &self.audience)?);
        }
        let (Some(public), Some(program)) = (&self.public_key, &self.sign_with) else {
            return Err(Outcome::usage(
                "name --key, or --public-key and --sign-with",
            ));
        };
        let unsigned = Unsigned::by(&self.audience, public)?;
        let shown = program.display();
        let fault = |why: String| Outcome::usage(format!("{shown}: {why}"));
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| fault(error.to_string()))?;
        if let Some(mut input) = child.stdin.take() {
            let written = input.write_all(unsigned.message());
            written.map_err(|error| fault(error.to_string()))?;
        }
        let output = child.wait_with_output();
        let output = output.map_err(|error| fault(error.to_string()))?;
        if !output.status.success() || output.stdout.len() != SIGNATURE {
            let length = output.stdout.len();
            return Err(fault(format!(
                "it ended with {} and {length} bytes: a signature has {SIGNATURE}",
                output.status
            )));
        }
        Ok(unsigned.signed(&output.stdout))
    }
}
