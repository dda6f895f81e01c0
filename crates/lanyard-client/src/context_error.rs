//! The errors of contexts and of what a context stores.

use std::path::PathBuf;

/// A context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The system cannot read the file.
    #[error("cannot read `{path}`: {source}")]
    Unreadable {
        /// The file that the context names.
        path: PathBuf,
        /// The system's I/O error.
        source: std::io::Error,
    },
    /// The file holds no valid context.
    #[error(
        "`{path}` is not a valid context: {source}; a context is JSON, as `lanyard login` writes it"
    )]
    Malformed {
        /// The path of the context file.
        path: PathBuf,
        /// The JSON error, with line and column.
        source: serde_json::Error,
    },
    /// The key file holds no Ed25519 key in PKCS#8.
    #[error("`{0}` holds no Ed25519 private key in PKCS#8")]
    Key(PathBuf),
    /// The endpoint is neither https nor on loopback, so credentials would travel in the clear.
    #[error(
        "`{0}` is neither https nor on loopback, and credentials do not travel in the clear: use an https address"
    )]
    Clear(String),
    /// The system supplies neither randomness nor a clock reading.
    #[error("the system supplies no randomness or no clock reading")]
    System,
    /// A key or a token cannot be stored between commands.
    #[error("cannot store keys and tokens in `{path}`: {source}")]
    Storage {
        /// The file or folder of the store.
        path: PathBuf,
        /// The system's I/O error.
        source: std::io::Error,
    },
    /// A secret file was refused or cannot be read.
    #[error(transparent)]
    Secret(#[from] lanyard_secret_file::SecretFileError),
    /// No state or configuration directory is known.
    #[error("no folder for keys and tokens: set HOME, XDG_STATE_HOME or LANYARD_STATE")]
    Homeless,
    /// The system's keyring refused the operation.
    #[error("cannot use the system's keyring: {0}")]
    Keyring(String),
    /// The context proves possession of a key with each call, so no bearer token alone
    /// authenticates.
    #[error("context `{0}` uses proof of possession: there is no bearer token to print")]
    Unprintable(PathBuf),
    /// The AWS proof failed; the text says why.
    #[error("{0}")]
    Aws(String),
    /// The context belongs to an agent or a workload, and only people log in.
    #[error("context `{0}` does not belong to a person: `lanyard login` does not apply to it")]
    NoLogin(PathBuf),
    /// A context with the same name exists.
    #[error("context `{0}` exists: choose another name, or delete that context first")]
    Taken(PathBuf),
    /// The context belongs to no enrolled agent.
    #[error("context `{0}` does not belong to an enrolled agent: it has no key to replace")]
    NotEnrolled(PathBuf),
    /// No context has the given name.
    #[error("no context is named `{0}`: `lanyard context list` lists the contexts")]
    Unknown(String),
    /// The call names no context, and none is current.
    #[error(
        "no context: there is no current one, and neither LANYARD_CONTEXT nor the call names one; make one with \
         `lanyard login --endpoint URL`, or name the file of one in LANYARD_CONTEXT (docs/contexts.md)"
    )]
    NoneCurrent,
    /// The name is not allowed as the name of a context file.
    #[error(
        "{0:?} is not a valid name of a context: use at most 64 letters, digits, dots, dashes and underscores"
    )]
    Name(String),
    /// The folder of contexts cannot be changed.
    #[error("cannot change `{path}`: {source}")]
    Folder {
        /// The file or the folder.
        path: PathBuf,
        /// The system's I/O error.
        source: std::io::Error,
    },
}
