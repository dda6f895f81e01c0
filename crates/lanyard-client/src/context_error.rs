//! Why there is no usable context.

use std::path::PathBuf;

/// Why there is no usable context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
        source: std::io::Error,
    },
    /// It is not a context.
    #[error("{path} is not a context: {source}")]
    Malformed {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
        source: serde_json::Error,
    },
    /// The key in it is not one.
    #[error("{0} holds no Ed25519 key in PKCS#8")]
    Key(PathBuf),
    /// Credentials would travel in the clear.
    #[error("{0} is neither https nor on loopback: credentials do not travel in the clear")]
    Clear(String),
    /// The system gives no random bits, or no time.
    #[error("the system gives no random bits or no time")]
    System,
    /// What is kept between commands cannot be.
    #[error("{path} cannot be used to keep keys and tokens: {source}")]
    Kept {
        /// The file that the context names.
        path: PathBuf,
        /// The error of the system, or of the format.
        source: std::io::Error,
    },
    /// A secret was not read.
    #[error(transparent)]
    Secret(#[from] lanyard_secret_file::SecretFileError),
    /// There is no place to keep anything.
    #[error("there is no place for keys and tokens: set HOME, XDG_STATE_HOME or LANYARD_STATE")]
    Homeless,
    /// The system's keyring does not work.
    #[error("the keyring cannot be used: {0}")]
    Keyring(String),
    /// No token alone proves who asks.
    #[error("{0} shows who it is with a key as well: there is no token for curl")]
    Unprintable(PathBuf),
    /// AWS vouches for nobody here.
    #[error("{0}")]
    Aws(String),
    /// No person logs in under it.
    #[error("{0} is no person's: there is nothing to log in to")]
    NoLogin(PathBuf),
    /// There is one of this name already.
    #[error("{0} exists: choose another name, or delete that context first")]
    Taken(PathBuf),
    /// No enrolled key belongs to it.
    #[error("{0} is no enrolled agent's: it has no key to replace")]
    NotEnrolled(PathBuf),
    /// There is none of this name.
    #[error("there is no context {0}: lanyard context list names those there are")]
    Unknown(String),
    /// None is named, and none was made the current one.
    #[error(
        "no context: there is no current one, and neither LANYARD_CONTEXT nor the call names one; make one with \
         `lanyard login --endpoint URL`, or name the file of one in LANYARD_CONTEXT (docs/contexts.md)"
    )]
    NoneCurrent,
    /// Not a name that a file can have.
    #[error(
        "{0:?} is no name for a context: letters, digits, dots, dashes and underscores, up to 64"
    )]
    Name(String),
    /// The folder of contexts cannot be used.
    #[error("{path} cannot be changed: {source}")]
    Folder {
        /// The file or the folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}
