//! The systemd unit of an installation. The Debian package has the same unit for its own paths.

use std::path::{Component, Path};

const TEMPLATE: &str = include_str!("lanyardd.service");

/// The paths that the unit runs with, all absolute.
pub(super) struct Runs<'a> {
    pub(super) user: &'a str,
    pub(super) program: &'a Path,
    pub(super) config: &'a Path,
    pub(super) data_dir: &'a Path,
}

impl Runs<'_> {
    pub(super) fn unit(&self) -> String {
        let config = self.config.to_string_lossy();
        let places = [self.program, self.config, self.data_dir];
        // What is under a home stays to be read; the data directory is written all the same.
        let home = if places.into_iter().any(is_in_a_home) {
            "read-only"
        } else {
            "yes"
        };
        // From the last to the first, so that nothing is looked for in what was put in.
        TEMPLATE
            .replacen("HOME", home, 1)
            .replacen("WRITES", &self.writes(), 1)
            .replacen("CONFIG", &quoted(&config), 1)
            .replacen("PROGRAM", &quoted(&self.program.to_string_lossy()), 1)
            .replacen("USER", self.user, 1)
            .replacen("CONDITION", &config.replace('%', "%%"), 1)
    }

    /// The directives for writing. systemd creates a directory below `/var/lib`; any other must
    /// exist.
    fn writes(&self) -> String {
        let below = self.data_dir.strip_prefix("/var/lib").ok();
        let own = below.and_then(|below| below.components().next());
        match own {
            Some(Component::Normal(own)) => {
                let own = quoted(&own.to_string_lossy());
                format!("StateDirectory={own}\nStateDirectoryMode=0700")
            }
            Some(_) | None => {
                format!(
                    "ReadWritePaths={}",
                    quoted(&self.data_dir.to_string_lossy())
                )
            }
        }
    }
}

fn is_in_a_home(path: &Path) -> bool {
    ["/home", "/root", "/run/user"]
        .iter()
        .any(|home| path.starts_with(home))
}

/// Quotes a word for systemd, without specifiers and variables.
fn quoted(text: &str) -> String {
    let text = text.replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%$+,:@".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(config: &str, data_dir: &str) -> String {
        let runs = Runs {
            user: "lanyard",
            program: Path::new("/usr/bin/lanyardd"),
            config: Path::new(config),
            data_dir: Path::new(data_dir),
        };
        runs.unit()
    }

    #[test]
    fn a_unit_runs_what_it_is_told_and_nothing_of_the_template_is_left() {
        let unit = unit("/etc/lanyard/lanyardd.yaml", "/var/lib/lanyard/data");
        for line in [
            "ConditionPathExists=/etc/lanyard/lanyardd.yaml",
            "User=lanyard",
            "ExecStart=/usr/bin/lanyardd serve --config /etc/lanyard/lanyardd.yaml",
            "StateDirectory=lanyard",
            "ProtectHome=yes",
        ] {
            assert!(unit.lines().any(|own| own == line), "{line}: {unit}");
        }
        assert!(!unit.contains("ReadWritePaths"), "{unit}");
    }

    #[test]
    fn a_path_with_spaces_and_signs_is_one_word() {
        let unit = unit("/srv/my \"100%\" broker/lanyardd.yaml", "/home/x/my data");
        for line in [
            "ConditionPathExists=/srv/my \"100%%\" broker/lanyardd.yaml",
            "ExecStart=/usr/bin/lanyardd serve --config \"/srv/my \\\"100%%\\\" broker/lanyardd.yaml\"",
            "ReadWritePaths=\"/home/x/my data\"",
            "ProtectHome=read-only",
        ] {
            assert!(unit.lines().any(|own| own == line), "{line}: {unit}");
        }
    }
}
