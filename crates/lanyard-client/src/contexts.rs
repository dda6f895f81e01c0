//! The contexts of a user: one file each in a folder, and the name of the current one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::context::Context;
use crate::context_error::ContextError;
use crate::endpoint::travels_safely;
use crate::identity::{EnrolledIdentity, LoginIdentity};
use crate::secret_files;

/// Longest name of a context. The name becomes a file name.
///
/// # Limit
/// - for: a context
/// - unit: bytes
/// - beyond: the name is refused
/// - test: `an_invalid_context_name_reaches_no_file`
const MAX_NAME_BYTES: usize = 64;

/// The address of a broker, and the authorities to trust for its certificate.
#[derive(Clone, Copy)]
pub struct Broker<'a> {
    /// The URL of the broker.
    pub endpoint: &'a str,
    /// The URL of the broker's kill plane, if it has one.
    pub kill_endpoint: Option<&'a str>,
    /// The authority of the broker's certificate; `None` means the system's.
    pub ca_file: Option<&'a Path>,
}

/// The folder `lanyard` in the user's configuration directory.
pub struct Contexts {
    folder: PathBuf,
}

impl Contexts {
    /// Opens the folder of the current user: `$XDG_CONFIG_HOME/lanyard`, else `~/.config/lanyard`.
    ///
    /// # Errors
    /// When neither `XDG_CONFIG_HOME` nor `HOME` is set.
    pub fn of_user() -> Result<Self, ContextError> {
        let named = |name| {
            std::env::var_os(name)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
        };
        let config = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")));
        let folder = config.ok_or(ContextError::Homeless)?.join("lanyard");
        Ok(Self { folder })
    }

    /// Lists the names of all contexts in alphabetical order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, ContextError> {
        let folder = self.folder.join("contexts");
        let unreadable = |source| ContextError::Unreadable {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(unreadable)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Returns the name of the current context.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("current")).ok()?;
        let name = text.trim();
        is_name(name).then(|| name.to_owned())
    }

    /// Makes `name` the context of commands that name none.
    ///
    /// # Errors
    /// When no context has the name, or the choice cannot be written.
    pub fn make_current(&self, name: &str) -> Result<(), ContextError> {
        self.existing(name)?;
        write(&self.folder.join("current"), &format!("{name}\n"))
    }

    /// Resolves the value of `--context`: a name if it is one and no file of that name exists, else
    /// a path.
    ///
    /// # Errors
    /// When `asked` is a name without a context.
    pub fn find(&self, asked: &Path) -> Result<PathBuf, ContextError> {
        match asked.to_str() {
            Some(name) if is_name(name) && !asked.exists() => self.existing(name),
            Some(_) | None => Ok(asked.to_path_buf()),
        }
    }

    /// Returns the file for a context name, whether or not the file exists.
    ///
    /// # Errors
    /// When `name` is not allowed.
    pub fn path(&self, name: &str) -> Result<PathBuf, ContextError> {
        if is_name(name) {
            Ok(self.folder.join("contexts").join(format!("{name}.json")))
        } else {
            Err(ContextError::Name(name.to_owned()))
        }
    }

    /// Returns the file of an existing context.
    ///
    /// # Errors
    /// When no context has the name.
    pub fn existing(&self, name: &str) -> Result<PathBuf, ContextError> {
        let path = self.path(name)?;
        if path.exists() {
            Ok(path)
        } else {
            Err(ContextError::Unknown(name.to_owned()))
        }
    }

    /// Writes the context of a person, and replaces a person's context of the same name. If the
    /// token store changes, tokens in the old store are deleted first: later, no command would find
    /// them.
    ///
    /// # Errors
    /// When the name is not allowed or belongs to a context that is no person's, when credentials
    /// would travel in the clear, or when the file cannot be written.
    pub fn write(
        &self,
        name: &str,
        broker: Broker<'_>,
        login: &LoginIdentity,
    ) -> Result<PathBuf, ContextError> {
        let path = self.path(name)?;
        let urls = [Some(broker.endpoint), broker.kill_endpoint];
        if let Some(clear) = urls.into_iter().flatten().find(|url| !travels_safely(url)) {
            return Err(ContextError::Clear(clear.to_owned()));
        }
        if path.exists() {
            let before = Context::load(&path)?;
            if before.login()?.store != login.store {
                before.forget()?;
            }
        }
        let identity = json!({"login": login});
        put(&path, broker, &identity)?;
        Ok(path)
    }

    /// Writes the context of an enrolled agent. The caller has checked that no context has this
    /// name.
    ///
    /// # Errors
    /// See [`Contexts::write`].
    pub(crate) fn write_enrolled(
        &self,
        name: &str,
        broker: Broker<'_>,
        enrolled: &EnrolledIdentity,
    ) -> Result<PathBuf, ContextError> {
        let path = self.path(name)?;
        put(&path, broker, &json!({"enrolled": enrolled}))?;
        Ok(path)
    }

    /// Deletes a context together with its stored key and tokens.
    ///
    /// # Errors
    /// When no context has the name, or one of its files cannot be deleted.
    pub fn delete(&self, name: &str) -> Result<(), ContextError> {
        let path = self.existing(name)?;
        // An unreadable context does not say where its tokens are; the user can still delete it.
        if let Ok(context) = Context::load(&path) {
            context.forget()?;
        }
        let fault = |path: &Path, source| ContextError::Folder {
            path: path.to_path_buf(),
            source,
        };
        secret_files::delete(&path).map_err(|source| fault(&path, source))?;
        if self.current().as_deref() == Some(name) {
            let current = self.folder.join("current");
            secret_files::delete(&current).map_err(|source| fault(&current, source))?;
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphanumeric())
        && name.len() <= MAX_NAME_BYTES
        && name.chars().all(plain)
}

fn put(path: &Path, broker: Broker<'_>, identity: &Value) -> Result<(), ContextError> {
    let mut context = json!({"endpoint": broker.endpoint, "identity": identity});
    if let (Some(url), Some(context)) = (broker.kill_endpoint, context.as_object_mut()) {
        context.insert("kill_endpoint".into(), url.into());
    }
    if let (Some(file), Some(context)) = (broker.ca_file, context.as_object_mut()) {
        let whole = file.canonicalize();
        let whole = whole.map_err(|source| ContextError::Unreadable {
            path: file.to_path_buf(),
            source,
        })?;
        context.insert("ca_file".into(), whole.to_string_lossy().into());
    }
    write(path, &format!("{context:#}\n"))
}

fn write(path: &Path, text: &str) -> Result<(), ContextError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let fault = |source| ContextError::Folder {
        path: path.to_path_buf(),
        source,
    };
    secret_files::folder(folder).map_err(fault)?;
    secret_files::replace(path, text.as_bytes()).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> Broker<'_> {
        Broker {
            endpoint,
            kill_endpoint: None,
            ca_file: None,
        }
    }

    fn login() -> LoginIdentity {
        LoginIdentity {
            issuer: "https://login.example".into(),
            client_id: "lanyard-cli".into(),
            scopes: vec!["openid".into()],
            audience: None,
            store: crate::Store::File,
        }
    }

    #[test]
    fn contexts_are_written_found_chosen_and_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let contexts = Contexts {
            folder: directory.path().join("lanyard"),
        };
        assert!(contexts.names().unwrap().is_empty());
        for name in ["work", "home"] {
            contexts
                .write(name, at("https://broker.example"), &login())
                .unwrap();
        }
        assert_eq!(contexts.names().unwrap(), ["home", "work"]);
        assert_eq!(contexts.current(), None);
        contexts.make_current("work").unwrap();
        assert_eq!(contexts.current().as_deref(), Some("work"));
        let found = contexts.find(Path::new("work")).unwrap();
        assert_eq!(Context::load(&found).unwrap().login().unwrap(), &login());
        let path = Path::new("elsewhere/work.json");
        assert_eq!(contexts.find(path).unwrap(), path);
        contexts.delete("work").unwrap();
        assert_eq!(contexts.current(), None);
        assert!(matches!(
            contexts.make_current("work"),
            Err(ContextError::Unknown(_))
        ));
    }

    #[test]
    fn an_invalid_context_name_reaches_no_file() {
        let contexts = Contexts {
            folder: "/nowhere".into(),
        };
        assert!(contexts.path(&"a".repeat(MAX_NAME_BYTES)).is_ok());
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for odd in ["", "..", "../work", "a/b", ".hidden", "a b", &long] {
            assert!(
                matches!(contexts.path(odd), Err(ContextError::Name(_))),
                "{odd}"
            );
        }
        let kills_in_the_clear = Broker {
            kill_endpoint: Some("http://broker.example:7071"),
            ..at("https://broker.example")
        };
        for broker in [at("http://broker.example"), kills_in_the_clear] {
            let clear = contexts.write("work", broker, &login());
            assert!(matches!(clear, Err(ContextError::Clear(_))));
        }
    }
}
