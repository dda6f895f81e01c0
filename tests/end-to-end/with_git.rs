//! git under `lanyard exec`, against a server over HTTPS that takes the broker's tokens as
//! passwords.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lanyard_rig::{Daemon, Git, free_port};
use lanyard_tests::workshop::Workshop;

const GRANTS: &str = "
    - name: read-code
      role: plan
      environments: [production]
      token: {target: code, audience: 'https://ADDRESS', scopes: [code.read, code.write]}
    - name: look-only
      role: plan
      environments: [production]
      ttl: 4s
      token: {target: code, audience: 'https://ADDRESS', scopes: [code.read]}
    - name: push-code
      role: apply
      environments: [staging]
      token: {target: code, audience: 'https://ADDRESS', scopes: [code.read, code.write]}
  approvals:
    - {when: {role: apply, environment: staging}, people: 1, from: ['group:support-leads']}
";

/// A repository, and somebody who has a helper of their own for all of git.
struct Code {
    workshop: Workshop,
    git: Git,
}

fn code() -> Result<Option<Code>> {
    code_with(true)
}

/// A repository, with a program that stands for git-lfs, or without.
fn code_with(stands_for_lfs: bool) -> Result<Option<Code>> {
    let there = |program: &str| {
        let mut command = std::process::Command::new(program);
        command.arg("--version").output().is_ok()
    };
    if !there("git") || !there("python3") {
        eprintln!("NOT RUN: there is no git or no python3");
        return Ok(None);
    }
    let directory = tempfile::tempdir()?;
    let address = free_port()?;
    let grants = GRANTS.replace("ADDRESS", &address.to_string());
    let authority = directory.path().join("dev-ca.pem");
    let path = std::env::var("PATH")?;
    let path = match stands_for_lfs {
        true => format!("{}:{path}", git_lfs(directory.path())?),
        false => path,
    };
    let own = [
        ("PATH", path.as_str()),
        ("GIT_SSL_CAINFO", &*authority.to_string_lossy()),
        ("GIT_ASKPASS", "true"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
    ];
    let workshop = Workshop::set(directory, ("code: {kind: token}\n", &grants), &[], &own)?;
    let git = serve(address, &workshop.stage.directory, &workshop.stage.daemon)?;
    let asked = workshop.home.join("asked");
    let own = format!(
        "[credential]\n\thelper = \"!touch {}; echo username=person; echo password=own; :\"\n\
         [user]\n\tname = agent\n\temail = agent@acme.example\n[advice]\n\tdetachedHead = false\n",
        asked.display()
    );
    workshop.at_home(".gitconfig", &own)?;
    Ok(Some(Code { workshop, git }))
}

fn serve(address: SocketAddr, directory: &tempfile::TempDir, daemon: &Daemon) -> Result<Git> {
    Git::start(address, directory.path(), daemon)
}

impl Code {
    /// Runs this in a shell in an empty folder, with the repository's URL as `$1`.
    fn script<'a>(&self, script: &'a str, url: &'a str) -> Result<[&'a str; 5]> {
        let folder = self.workshop.home.join("src");
        std::fs::create_dir_all(&folder)?;
        Ok(["sh", "-c", script, "sh", url])
    }

    fn url(&self) -> String {
        format!("{}/app.git", self.git.url())
    }

    fn nobody_was_asked(&self) -> Result<()> {
        ensure!(
            !self.workshop.home.join("asked").exists(),
            "the person's helper was asked"
        );
        Ok(())
    }
}

/// Makes a commit and pushes it.
const PUSH: &str = "set -e; cd ~/src; git clone -q \"$1\" first; cd first; echo one > file; git add file; \
                    git commit -q -m one; git push -q origin HEAD:main; cd ..; git clone -q \"$1\" second; \
                    git -C second fetch -q; cat second/file";

// T51
#[test]
fn a_clone_a_push_and_a_fetch_need_nothing_of_the_persons_own() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let url = code.url();
    let script = code.script(PUSH, &url)?;
    assert_eq!(code.workshop.ok(&[], "read-code", &script)?, "one");
    code.nobody_was_asked()?;
    assert_eq!(code.workshop.mints("read-code")?, 1);
    let log = code.git.log();
    assert!(
        log.contains("POST /app.git/git-receive-pack lanyard 200"),
        "{log}"
    );
    assert!(!log.contains("person"), "{log}");
    // What the token may not do there is the server's to say, and git does not ask a person then.
    let again = PUSH
        .replace("first", "third")
        .replace("echo one", "echo two");
    let refused = code
        .workshop
        .run(&[], "look-only", &code.script(&again, &url)?)?;
    assert_eq!(refused.code, 128, "{refused:?}");
    assert!(
        refused.stderr.contains("Authentication failed"),
        "{refused:?}"
    );
    code.nobody_was_asked()
}

/// Stands for git-lfs, and says what git-lfs finds: a netrc at home, a Kerberos ticket, and what
/// the credential helpers answer.
fn git_lfs(folder: &std::path::Path) -> Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = folder.join("tools");
    std::fs::create_dir_all(&bin)?;
    let program = bin.join("git-lfs");
    let script = "#!/bin/sh\necho \"ran $*\"; cat \"$HOME/.netrc\"; echo \"ticket $KRB5CCNAME\"\n\
                  printf \"url=$(git config remote.origin.url)\\n\\n\" | git credential fill\n";
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(bin.display().to_string())
}

// B6: git-lfs speaks HTTP without git.
#[test]
fn b06_git_lfs_logs_in_with_the_task_or_says_what_keeps_it_from_that() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let url = code.url();
    let ran = |set: &str, lfs: &str| {
        let script = format!(
            "set -e; trap 'git config --global --unset http.extraHeader || true' EXIT; cd ~/src; rm -rf repo ~/.netrc; \
             git init -q repo; cd repo; git remote add origin \"$1\"; {set}; {lfs}"
        );
        code.workshop
            .run(&[], "read-code", &code.script(&script, &url)?)
    };
    let netrc = "echo 'machine 127.0.0.1 login person password own' > ~/.netrc";
    let through_git = "git config alias.x '!git-lfs pull'; git x";
    for set in [
        "true",
        netrc,
        "git config credential.$1.helper '!echo username=person; echo password=own; :'",
    ] {
        for lfs in ["git lfs pull", "git-lfs pull", through_git] {
            let answer = ran(set, lfs)?;
            assert_eq!(answer.code, 0, "{set}: {lfs}: {answer:?}");
            assert!(answer.stdout.contains("ran pull"), "{answer:?}");
            assert!(
                answer.stdout.contains("username=lanyard"),
                "{set}: {lfs}: {answer:?}"
            );
            assert!(!answer.stdout.contains("own"), "{set}: {lfs}: {answer:?}");
            assert!(answer.stdout.contains("/nothing/krb5cc"), "{answer:?}");
        }
    }
    for (set, what) in [
        (
            "git config http.$1.extraHeader 'Authorization: Basic b3du'",
            "has a header",
        ),
        (
            "git config --global http.extraHeader 'Authorization: Basic b3du'",
            "has a header",
        ),
        (
            "git config lfs.url https://person:own@127.0.0.1/app.git",
            "has an address with a password",
        ),
        (
            "printf '[lfs]\\n\\turl = https://person:own@127.0.0.1/app.git\\n' > .lfsconfig; mkdir x; cd x",
            "has an address with a password",
        ),
        (
            "git remote set-url origin https://person:own@127.0.0.1/app.git",
            "has an address with a password",
        ),
    ] {
        for lfs in ["git lfs pull", "git-lfs pull"] {
            let answer = ran(set, lfs)?;
            assert!(!answer.stdout.contains("ran pull"), "{set}: {answer:?}");
            assert!(answer.stderr.contains(what), "{set}: {lfs}: {answer:?}");
            assert!(!answer.stderr.contains("person:own"), "{answer:?}");
        }
    }
    code.nobody_was_asked()
}

/// Pushes a file through git-lfs, and clones it: the login is that of the task, on each of the
/// addresses that git-lfs makes.
const LARGE: &str = "set -e; cd ~/src; git lfs install --skip-repo >/dev/null; git clone -q \"$1\" large; cd large; \
                     git lfs track '*.bin' >/dev/null; echo large-one > a.bin; git add .gitattributes a.bin; \
                     git commit -q -m large; git push -q origin HEAD:main >&2; git show HEAD:a.bin | head -1; cd ..; \
                     git clone -q \"$1\" again >&2; cat again/a.bin";

// C35: the real program, which asks for logins of `app.git/info/lfs` and of what the server names
// beneath.
#[test]
fn c35_git_lfs_itself_pushes_and_pulls_with_the_login_of_the_task() -> Result<()> {
    let lfs = std::process::Command::new("git")
        .args(["lfs", "version"])
        .output();
    if !lfs.is_ok_and(|said| said.status.success()) {
        eprintln!("NOT RUN: there is no git-lfs");
        return Ok(());
    }
    let Some(code) = code_with(false)? else {
        return Ok(());
    };
    let url = code.url();
    let pulled = code
        .workshop
        .ok(&[], "read-code", &code.script(LARGE, &url)?)?;
    let pointer = "version https://git-lfs.github.com/spec/v1";
    assert_eq!(pulled, format!("{pointer}\nlarge-one"));
    let log = code.git.log();
    for line in [
        "POST /app.git/info/lfs/objects/batch lanyard 200",
        "PUT /app.git/info/lfs/objects/",
        "GET /app.git/info/lfs/objects/",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("person"), "{log}");
    code.nobody_was_asked()
}

/// Each way in which a setting, a file or an address of the user's logs in.
const OWN_LOGINS: [(&str, &str); 8] = [
    (
        "a header for the repository",
        "git config http.$1.extraHeader \"Authorization: Basic $own\"",
    ),
    (
        "a header for a longer address",
        "git config http.$1/info.extraHeader \"Authorization: Basic $own\"; git config http.$1.EXTRAHEADER \"Authorization: Basic $own\"",
    ),
    (
        "a helper for the repository",
        "git config credential.$1.helper '!echo username=person; echo password=own; :'",
    ),
    (
        "a name and a password in the address",
        "git remote set-url origin $(echo \"$1\" | sed 's,://,://person:own@,')",
    ),
    (
        "a name and a password behind insteadOf",
        "git config url.$(echo \"$1\" | sed 's,://,://person:own@,').insteadOf $1",
    ),
    (
        "a file of cookies",
        "printf '127.0.0.1\\tFALSE\\t/\\tTRUE\\t0\\tsession\\tperson\\n' > cookies; git config http.$1.cookieFile $PWD/cookies",
    ),
    (
        "a netrc at home",
        "echo 'machine 127.0.0.1 login person password own' > ~/.netrc; chmod 600 ~/.netrc",
    ),
    (
        "a header on the command line",
        "url=$1; git() { command git -c \"http.$url.extraHeader=Authorization: Basic $own\" \"$@\"; }",
    ),
];

// B6
#[test]
fn b06_git_logs_in_with_the_task_whatever_a_setting_of_the_users_says() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let url = code.url();
    for (what, set) in OWN_LOGINS {
        let script = format!(
            "set -e; cd ~/src; own=$(printf person:own | base64); rm -rf repo ~/.netrc; git init -q repo; cd repo; \
             git remote add origin \"$1\"; {set}; git ls-remote -q origin; git fetch -q origin"
        );
        let answer = code
            .workshop
            .run(&[], "read-code", &code.script(&script, &url)?)?;
        assert_eq!(answer.code, 0, "{what}: {answer:?}");
        let log = code.git.log();
        assert!(!log.contains("person"), "{what}: {log}");
        assert!(log.contains("lanyard 200"), "{what}: {log}");
    }
    code.nobody_was_asked()?;

    // Settings in variables are counted by git: what stays of them is numbered anew, in a command
    // within another as well.
    let nested = code.script(
        "cd ~/src; GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=http.extraHeader GIT_CONFIG_VALUE_0='Authorization: Basic cGVyc29uOm93bg==' \
         GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1='*' \
         $LANYARD_BIN exec --grant read-code -- sh -c 'git config safe.directory && git ls-remote -q \"$0\"' \"$1\"",
        &url,
    )?;
    let answer = code.workshop.run(&[], "read-code", &nested)?;
    assert_eq!((answer.code, answer.stdout.trim()), (0, "*"), "{answer:?}");
    assert!(!code.git.log().contains("person"), "{}", code.git.log());

    // The older programs take an address themselves. This server speaks no WebDAV, so that neither
    // gets far.
    let older = code.script(
        "cd ~/src/repo; own=$(printf person:own | base64); git config http.$1.extraHeader \"Authorization: Basic $own\"; \
         git http-push \"$1\" master; git http-fetch -a master \"$1\"; true",
        &url,
    )?;
    let answer = code.workshop.run(&[], "read-code", &older)?;
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(!code.git.log().contains("person"), "{}", code.git.log());

    // A certificate cannot be taken away, and ssh has logins of its own: both are refused, by name.
    let certificate = code.script(
        "cd ~/src; git config --global http.$1.sslCert /nowhere/own.pem; git ls-remote \"$1\"",
        &url,
    )?;
    let refused = code.workshop.run(&[], "read-code", &certificate)?;
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("git's setting `http.sslCert` names a certificate of yours"),
        "{refused:?}"
    );
    let ssh = code.script("cd ~/src; git ls-remote ssh://git@127.0.0.1/app.git", &url)?;
    let refused = code.workshop.run(&[], "read-code", &ssh)?;
    assert_eq!(refused.code, 128, "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("git does not use ssh within lanyard exec"),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn nobody_else_is_shown_a_token() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let other = serve(
        free_port()?,
        &code.workshop.stage.directory,
        &code.workshop.stage.daemon,
    )?;
    let elsewhere = [
        format!("{}/app.git", other.url()),
        code.url().replace("127.0.0.1", "localhost"),
    ];
    for url in &elsewhere {
        let clone = code.script("cd ~/src && git clone \"$1\" other", url)?;
        let refused = code.workshop.run(&[], "read-code", &clone)?;
        assert_eq!(refused.code, 128, "{refused:?}");
        let line = "could not read Username for";
        assert!(
            refused.stderr.contains(line) || refused.stderr.contains("Authentication failed"),
            "{refused:?}"
        );
        assert!(!refused.stderr.contains("eyJ"), "{refused:?}");
    }
    let log = other.log();
    assert!(!log.contains("lanyard") && !log.contains(" 200"), "{log}");
    code.nobody_was_asked()?;

    // A helper for everything, as somebody may have it who uses no `lanyard exec`, says no and
    // stops git there.
    let task = code.workshop.agent.ok(&[
        "-o",
        "name",
        "task",
        "open",
        "shop",
        "--environment",
        "production",
        "--reason",
        "ticket 12",
    ])?;
    let creds = ["creds", "git", "--task", &task, "read-code", "get"];
    let host = other.url().trim_start_matches("https://");
    let answer = code
        .workshop
        .agent
        .fed(&creds, &format!("protocol=https\nhost={host}\n"))?;
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (2, "quit=1"),
        "{answer:?}"
    );
    let line = format!(
        "lanyard: the token of read-code is for {}, and is not shown to {}",
        code.git.url(),
        other.url()
    );
    assert_eq!(answer.stderr, line);
    Ok(())
}

#[test]
fn a_fetch_goes_on_over_the_end_of_a_lease_and_ends_with_a_kill() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let url = code.url();
    let script = code.script(PUSH, &url)?;
    code.workshop.ok(&[], "read-code", &script)?;
    let fetches =
        "cd ~/src/first || exit; while git fetch -q; do echo fetched >&2; done; echo over >&2";
    let script = code.script(fetches, &url)?;
    let mut running = code
        .workshop
        .start(&["--on-kill", "none"], "look-only", &script)?;
    while code.workshop.mints("look-only")? < 2 {
        running.line("fetched")?;
    }
    running.line("fetched")?;
    code.workshop.kill()?;
    running.line("over")?;
    let ended = running.end()?;
    assert!(
        ended.stderr.contains("lanyard: stopped by kill order K-"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains(": drill"), "{ended:?}");
    code.nobody_was_asked()
}

#[test]
fn git_says_why_there_is_no_token() -> Result<()> {
    let Some(code) = code()? else { return Ok(()) };
    let [task, plan, _, approval] = code.workshop.plan("push-code")?;
    let lanyard = code.workshop.agent.program().display().to_string();
    let context = code
        .workshop
        .stage
        .directory
        .path()
        .join("contexts/agent.json");
    for (arguments, expected) in [
        (
            format!("read-code --task {task}"),
            "lanyard: denied by charter shop (",
        ),
        (
            format!("push-code --task {task} --plan {plan}"),
            approval.as_str(),
        ),
    ] {
        let helper = format!(
            "!{lanyard} --context {} creds git {arguments}",
            context.display()
        );
        let output = std::process::Command::new("git")
            .args([
                "-c",
                "credential.helper=",
                "-c",
                &format!("credential.helper={helper}"),
            ])
            .args(["ls-remote", &code.url()])
            .env("HOME", &code.workshop.home)
            .env("GIT_TERMINAL_PROMPT", "1")
            .env("LANYARD_STATE", context.with_file_name("state"))
            .env(
                "GIT_SSL_CAINFO",
                code.workshop.stage.directory.path().join("dev-ca.pem"),
            )
            .stdin(std::process::Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code().context("killed")?, 128, "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(
            said.contains("credential helper") && said.contains("told us to quit"),
            "{said}"
        );
    }
    code.nobody_was_asked()
}
