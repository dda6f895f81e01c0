//! Findings about an object: those of lint, with field paths in place of line numbers.

use std::fmt;

use lanyard_charter::{Charter, Parsed, PolicyFiles, World, parse_with};
use lanyard_document::{Code, Diagnostic, Severity, path_of, read};

/// An error or a warning about an object, and its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The lint code of the finding.
    pub code: Code,
    /// Path of the field; empty for the object itself.
    pub path: String,
    /// The fault in words, and the remedy.
    pub message: String,
}

impl Finding {
    /// True when the finding keeps the charter out of force.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.code.severity(), Severity::Error)
    }
}

/// Renders a finding as `spec.grants[0].role: error[LC015]: message`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(
            f,
            "{}[{}]: {}",
            self.code.severity(),
            self.code,
            self.message
        )
    }
}

/// Converts lint's diagnostics of a text into findings with field paths.
#[must_use]
pub fn found(text: &str, diagnostics: &[Diagnostic]) -> Vec<Finding> {
    let root = read(text).ok();
    let finding = |diagnostic: &Diagnostic| {
        let path = root.as_ref().map(|root| path_of(root, diagnostic.span));
        let help = diagnostic.help.as_deref();
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        // YAML 1.1 parsers, kubectl's among them, turn an unquoted `on` into `true`.
        let turned = diagnostic.code == Code::UnknownField && diagnostic.message.contains("`true`");
        let turned = if turned {
            "; kubectl reads `on` without quotes as true: write \"on\""
        } else {
            ""
        };
        Finding {
            code: diagnostic.code,
            path: path.unwrap_or_default(),
            message: format!("{}{help}{turned}", diagnostic.message),
        }
    };
    diagnostics.iter().map(finding).collect()
}

/// Parses and lints a charter from an object's canonical text.
///
/// # Errors
/// All findings, at least one of which is an error.
pub fn of_charter(
    text: &str,
    world: &World,
    files: &dyn PolicyFiles,
) -> Result<(Charter, Vec<Finding>), Vec<Finding>> {
    match parse_with(text, world, files) {
        Ok(Parsed { charter, warnings }) => {
            let warnings = found(text, &warnings);
            Ok((charter, warnings))
        }
        Err(diagnostics) => Err(found(text, &diagnostics)),
    }
}
