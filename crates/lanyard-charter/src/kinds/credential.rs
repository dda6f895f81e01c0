//! Credentials as agents get them: a secret of any kind, with what a client needs to use it.

use std::any::Any;
use std::fmt;
use std::ops::Deref;

use lanyard_vocabulary::secret::Secret;

use crate::target_kind::TargetKind;

/// A credential of one kind.
pub trait CredentialForm: Any + fmt::Debug + Send + Sync {
    /// The kind of target that accepts the credential.
    fn kind(&self) -> TargetKind;

    /// The fields that are not secret, by name.
    fn values(&self) -> Vec<(&str, String)>;

    /// The secret fields, by name.
    fn secrets(&self) -> Vec<(&str, &Secret<String>)>;
}

/// A credential, of whatever kind.
pub struct Credential(Box<dyn CredentialForm>);

impl Credential {
    /// The credential as one of one kind; `None` if it is of another.
    #[must_use]
    pub fn get<T: CredentialForm>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }
}

impl<T: CredentialForm> From<T> for Credential {
    fn from(form: T) -> Self {
        Self(Box::new(form))
    }
}

impl Deref for Credential {
    type Target = dyn CredentialForm;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
