//! git and the API of GitHub with the tokens of an App, against the stand-in: nothing of this was
//! run against the real GitHub.

use anyhow::{Result, ensure};
use lanyard_rig::GitHub;
use lanyard_tests::until;
use lanyard_tests::workshop::Workshop;

const GRANTS: &str = "
    - name: read-code
      role: plan
      environments: [production]
      github: {target: code, repositories: [payments], permissions: {contents: read}}
    - name: read-ledger
      role: plan
      environments: [production]
      github: {target: code, repositories: [ledger], permissions: {contents: read}}
    - name: open-fix
      role: plan
      environments: [production]
      github: {target: code, repositories: [payments], profile: propose}
";

struct Shop {
    workshop: Workshop,
    github: GitHub,
}

fn shop() -> Result<Shop> {
    shop_with(0o600)
}

/// With sealing keys of this mode.
fn shop_with(mode: u32) -> Result<Shop> {
    let github = GitHub::start()?;
    let directory = tempfile::tempdir()?;
    let keys = directory.path().join("sealing.keys");
    std::fs::write(
        &keys,
        "first AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    )?;
    restrict(&keys, mode)?;
    let target = format!(
        "code: {{kind: github, api: '{api}', host: '{api}', app_id: '{}', private_key: '{}', owner: {}, sealing_keys: '{}'}}\n",
        github.app_id(),
        github.private_key().display(),
        github.owner(),
        keys.display(),
        api = github.url(),
    );
    let own = [("GIT_CONFIG_NOSYSTEM", "1"), ("GH_TOKEN", "of-a-person")];
    let workshop = Workshop::set(directory, (&target, GRANTS), &[], &own)?;
    Ok(Shop { workshop, github })
}

fn restrict(path: &std::path::Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(mode),
    )?)
}

impl Shop {
    /// The credential that git gets for a repository when it asks its helper.
    fn filled(&self, repository: &str) -> Result<String> {
        let host = self.github.url().replace("http://", "");
        let script = format!(
            "printf 'protocol=http\\nhost={host}\\npath=acme/{repository}.git\\n\\n' | git credential fill; \
             test -z \"$GH_TOKEN\""
        );
        let grants = ["--grant", "read-ledger"];
        let answer = self
            .workshop
            .run(&grants, "read-code", &["sh", "-c", &script])?;
        Ok(answer.stdout)
    }

    fn task(&self) -> Result<String> {
        let words = "-o name task open shop --environment production --reason ticket";
        self.workshop
            .agent
            .ok(&words.split(' ').collect::<Vec<_>>())
    }

    /// The token of the last mint.
    fn last(&self) -> String {
        self.github.tokens().pop().unwrap_or_default()
    }

    /// True if GitHub refuses the token, once the broker has answered a listing of kill orders.
    fn has_ended(&self, token: &str, repository: &str) -> Result<bool> {
        self.workshop.stage.oncall.ok(&["kill", "list"])?;
        Ok(self.reads(token, repository)? == 401)
    }

    fn reads(&self, token: &str, repository: &str) -> Result<u16> {
        let path = format!("/repos/acme/{repository}/contents/README.md");
        Ok(self.github.call(("GET", &path), token, None)?.0)
    }
}

// T38
#[test]
fn git_is_given_the_token_of_the_repository_that_it_asks_for() -> Result<()> {
    let shop = shop()?;
    for repository in ["payments", "ledger"] {
        let said = shop.filled(repository)?;
        assert!(said.contains("username=x-access-token"), "{said}");
        let password = said.lines().find_map(|line| line.strip_prefix("password="));
        let password = password.unwrap_or_default();
        assert!(
            shop.github.tokens().iter().any(|it| it == password),
            "{said}"
        );
        // The command is over, and with it its task.
        until(|| shop.has_ended(password, repository))?;
    }
    let said = shop.filled("website")?;
    assert!(!said.contains("password="), "{said}");
    for token in shop.github.tokens() {
        until(|| shop.has_ended(&token, "payments"))?;
    }
    assert_eq!(shop.github.live(), 0);
    Ok(())
}

// T52
#[test]
fn a_kill_ends_every_token_and_none_is_in_the_journal() -> Result<()> {
    let shop = shop()?;
    let task = shop.task()?;
    let issue = ["creds", "git", "read-code", "get", "--task", &task];
    let host = shop.github.url().replace("http://", "");
    let asked = format!("protocol=http\nhost={host}\npath=acme/payments.git\n\n");
    let said = shop.workshop.agent.fed(&issue, &asked)?;
    ensure!(said.code == 0, "{said:?}");
    let token = shop.last();
    assert!(said.stdout.contains(&token), "{said:?}");
    assert_eq!(shop.reads(&token, "payments")?, 200);
    assert_eq!(shop.reads(&token, "ledger")?, 404);
    shop.workshop.kill()?;
    assert_eq!(shop.reads(&token, "payments")?, 401);
    assert_eq!(shop.github.live(), 0);
    let directory = shop.workshop.stage.directory.path();
    let found = std::process::Command::new("grep")
        .args(["-rlaF", &token])
        .arg(directory)
        .output()?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found, "");
    Ok(())
}

#[test]
fn a_proposal_needs_a_branch_that_demands_reviews() -> Result<()> {
    let shop = shop()?;
    let task = shop.task()?;
    let host = shop.github.url().replace("http://", "");
    let asked = format!("protocol=http\nhost={host}\npath=acme/payments.git\n\n");
    let issue = ["creds", "git", "open-fix", "get", "--task", &task];
    let refused = shop.workshop.agent.fed(&issue, &asked)?;
    ensure!(refused.code != 0, "{refused:?}");
    ensure!(refused.stderr.contains("payments"), "{refused:?}");
    assert_eq!(shop.github.live(), 0);
    shop.github.require_reviews("payments", 1, Some("never"));
    let said = shop.workshop.agent.fed(&issue, &asked)?;
    ensure!(said.code == 0, "{said:?}");
    assert_eq!(shop.reads(&shop.last(), "payments")?, 200);
    Ok(())
}

// T75
#[test]
fn a_target_whose_key_anybody_can_read_is_refused_and_nothing_else_is() -> Result<()> {
    let shop = shop_with(0o644)?;
    let task = shop.task()?;
    let host = shop.github.url().replace("http://", "");
    let asked = format!("protocol=http\nhost={host}\npath=acme/payments.git\n\n");
    let issue = ["creds", "git", "read-code", "get", "--task", &task];
    let refused = shop.workshop.agent.fed(&issue, &asked)?;
    ensure!(refused.code != 0, "{refused:?}");
    ensure!(refused.stderr.contains("sealing.keys"), "{refused:?}");
    shop.workshop.kill()
}
