//! The first people of an installation, and the hosts named on the command line.

use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

/// A person's role, and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Viewer,
    Approver,
    OnCall,
    Admin,
}

impl Role {
    const ALL: [Self; 4] = [Self::Viewer, Self::Approver, Self::OnCall, Self::Admin];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::OnCall => "on-call",
            Self::Admin => "admin",
        }
    }

    /// The group that has this role in the configuration.
    pub(super) const fn group(self) -> &'static str {
        match self {
            Self::Viewer => "viewers",
            Self::Approver => "approvers",
            Self::OnCall => "on-call",
            Self::Admin => "admins",
        }
    }
}

/// A person with roles: `alice:approver,on-call`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
}

impl Person {
    /// Two people by default, because lifting a kill order takes two.
    pub(super) fn usual() -> Vec<Self> {
        let person = |name: &str, roles: &[Role]| Self {
            name: name.to_owned(),
            roles: roles.to_vec(),
        };
        vec![
            person("admin", &[Role::Approver, Role::OnCall, Role::Admin]),
            person("deputy", &[Role::Approver, Role::OnCall]),
        ]
    }
}

impl FromStr for Person {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, roles)) = text.split_once(':') else {
            bail!("a name, a colon and roles: alice:approver,on-call");
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins_well || name.len() > 64 || !name.chars().all(plain) {
            bail!("a name has letters, digits, dots, dashes and underscores, and at most 64");
        }
        let mut read = Vec::new();
        for word in roles.split(',') {
            let role = Role::ALL.into_iter().find(|role| role.word() == word);
            let all = Role::ALL.map(Role::word).join(", ");
            read.push(role.ok_or_else(|| anyhow!("`{word}` is no role: {all}"))?);
        }
        read.sort();
        read.dedup();
        Ok(Self {
            name: name.to_owned(),
            roles: read,
        })
    }
}

/// A DNS name or an address that a certificate can be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host(pub(super) String);

impl FromStr for Host {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > 253 || !text.split('.').all(is_label) {
            bail!("write the name or the address alone, as broker.acme.example or 10.0.0.7");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Host {
    /// The host as a URL contains it.
    pub(super) fn in_url(&self) -> String {
        match self.0.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(_)) | Err(_) => self.0.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_read_with_their_roles_and_oddities_are_refused() {
        let alice: Person = "alice:on-call,approver,on-call".parse().unwrap();
        assert_eq!(alice.roles, [Role::Approver, Role::OnCall]);
        for odd in [
            "alice",
            "alice:",
            "alice:boss",
            ":admin",
            "a/b:admin",
            "../x:admin",
            "-a:admin",
        ] {
            assert!(odd.parse::<Person>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (text, url) in [
            ("Broker.acme.example", "broker.acme.example"),
            ("10.0.0.7", "10.0.0.7"),
            ("::1", "[::1]"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().in_url(), url);
        }
        for odd in ["", "a b", "https://a", "a:7070", "*.a", "a..b", "-a", "a_b"] {
            assert!(odd.parse::<Host>().is_err(), "{odd}");
        }
    }
}
