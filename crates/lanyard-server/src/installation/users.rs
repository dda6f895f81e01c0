//! The users of this machine, from `/etc/passwd`.

use anyhow::{Context as _, Result};

const PASSWD: &str = "/etc/passwd";

/// A user with its own group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
}

/// The user of this name.
///
/// # Errors
/// When there is none.
pub(super) fn named(name: &str) -> Result<User> {
    let known =
        std::fs::read_to_string(PASSWD).with_context(|| format!("cannot read `{PASSWD}`"))?;
    let found = entries(&known).find(|(known, _)| *known == name);
    let (_, user) = found.with_context(|| {
        format!("there is no user `{name}` in `{PASSWD}`: make it with `useradd --system {name}`")
    })?;
    Ok(user)
}

/// The user's name, or its number if it has none.
pub(super) fn name_of(id: u32) -> String {
    let known = std::fs::read_to_string(PASSWD).unwrap_or_default();
    let found = entries(&known).find(|(_, user)| user.id == id);
    found.map_or_else(|| id.to_string(), |(name, _)| name.to_owned())
}

fn entries(text: &str) -> impl Iterator<Item = (&str, User)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((name, User { id, group }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_number_and_a_group() {
        let text = "root:x:0:0:root:/root:/bin/bash\nodd\nlanyard:x:998:997::/nonexistent:/usr/sbin/nologin\n";
        let found: Vec<_> = entries(text).collect();
        let lanyard = User {
            id: 998,
            group: 997,
        };
        assert_eq!(
            found,
            [("root", User { id: 0, group: 0 }), ("lanyard", lanyard)]
        );
    }
}
