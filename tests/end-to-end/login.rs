//! People who log in at a certified OpenID Provider, and the sessions that they have for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lanyard_rig::{Answer, Cli, Daemon, Oidc, Running};
use tempfile::TempDir;

/// A daemon whose people log in at a provider beside it.
struct Place {
    directory: TempDir,
    daemon: Daemon,
    oidc: Oidc,
}

impl Place {
    fn set() -> Result<Self> {
        Self::set_with(300, "")
    }

    /// With ID tokens that are good for so long, and these lines in the daemon's configuration.
    fn set_with(id_token_seconds: u32, lines: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let daemon = Daemon::start(directory.path())?;
        let oidc = Oidc::start_with(directory.path(), id_token_seconds)?;
        let issuer = format!(
            "issuers:
  - issuer: {}
    kind: operators
    discovery: {{ca_file: dev-ca.pem}}
    login: {{client_id: lanyard-cli, scopes: [openid, groups, offline_access]}}
    roles: {{viewer: [support-leads, oncall], approver: [support-leads], on-call: [oncall]}}",
            oidc.issuer()
        );
        let change = |config: String| {
            let config = config.replacen("issuers:", &issuer, 1);
            format!("{lines}{config}")
        };
        Ok(Self {
            daemon: daemon.serve_again(change)?,
            oidc,
            directory,
        })
    }

    fn home(&self) -> &Path {
        self.directory.path()
    }

    fn cli(&self) -> Result<Cli> {
        Cli::at_home(self.home())
    }

    /// Begins the first login under a new context of this name.
    fn first(&self, context: &str, way: &str) -> Result<Running> {
        let endpoint = format!("https://{}", self.daemon.address());
        let authority = self.home().join("dev-ca.pem");
        let authority = authority.to_string_lossy();
        let place = [
            "--endpoint",
            &endpoint,
            "--ca-file",
            &authority,
            "--name",
            context,
        ];
        let login = [&["login", "--store", "file", way], &place[..]].concat();
        self.cli()?.start(&login)
    }

    /// Logs this person in, in a browser, under a new context of the same name.
    fn logged_in(&self, person: &str) -> Result<()> {
        let mut login = self.first(person, "--browser")?;
        self.oidc.log_in(&page(&mut login)?, person)?;
        succeeded(&login.end()?)
    }

    /// The only file with this ending among what is kept.
    fn kept(&self, ending: &str) -> Result<PathBuf> {
        let state = self.home().join(".local/state/lanyard");
        let mut found = std::fs::read_dir(state)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        found.retain(|path| path.extension().is_some_and(|it| it == ending));
        ensure!(found.len() == 1, "{found:?}");
        found.pop().context("nothing is kept")
    }
}

fn page(login: &mut Running) -> Result<String> {
    login.line("open this page on this machine: ")
}

fn succeeded(answer: &Answer) -> Result<()> {
    ensure!(answer.code == 0, "{answer:?}");
    Ok(())
}

/// The value of a field of a URL's query, as it stands there.
fn field<'a>(url: &'a str, name: &str) -> Result<&'a str> {
    let (_, query) = url.split_once('?').context("no query")?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    Ok(found.context("no such field")?.1)
}

/// Where the browser is sent back to.
fn callback(url: &str) -> Result<String> {
    let encoded = field(url, "redirect_uri")?;
    Ok(encoded.replace("%3A", ":").replace("%2F", "/"))
}

fn get(url: &str) -> Result<u16> {
    let runtime = tokio::runtime::Runtime::new()?;
    drop(rustls::crypto::ring::default_provider().install_default());
    runtime.block_on(async { Ok(reqwest::get(url).await?.status().as_u16()) })
}

// T51
#[test]
fn somebody_logs_in_over_ssh_by_a_code() -> Result<()> {
    let place = Place::set()?;
    let mut login = place.first("work", "--device")?;
    let code = login.line("and enter this code there: ")?;
    place.oidc.approve_device(&code, "alice")?;
    let answer = login.end()?;
    succeeded(&answer)?;
    let who = format!("logged in as alice at {}", place.oidc.issuer());
    assert!(answer.stderr.contains(&who), "{answer:?}");

    let me = place.cli()?.json(&["whoami"])?;
    assert_eq!(me["subject"], "alice");
    assert_eq!(me["issuer"], place.oidc.issuer());
    // Neither tokens nor keys are anywhere but in files of their owner's.
    assert_eq!(answer.stdout, "");
    for kept in ["tokens", "key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = place.kept(kept)?.metadata()?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{kept}");
    }
    let tokens = std::fs::read_to_string(place.kept("tokens")?)?;
    let tokens: serde_json::Value = serde_json::from_str(&tokens)?;
    for secret in [&tokens["session"]["token"], &tokens["refresh"]] {
        let secret = secret.as_str().context("not kept")?;
        assert!(!answer.stderr.contains(secret));
    }
    Ok(())
}

#[test]
fn two_people_log_in_with_a_browser_and_each_context_is_one_of_them() -> Result<()> {
    let place = Place::set()?;
    let cli = place.cli()?;
    let none = cli.fails(2, &["whoami"])?;
    assert!(none.contains("lanyard login --endpoint"), "{none}");
    place.logged_in("alice")?;
    place.logged_in("bob")?;
    let subject = |arguments: &[&str]| -> Result<String> {
        let me = cli.json(&[arguments, &["whoami"]].concat())?;
        Ok(me["subject"].as_str().context("no subject")?.to_owned())
    };
    assert_eq!(subject(&[])?, "bob");
    assert_eq!(subject(&["--context", "alice"])?, "alice");
    cli.ok(&["context", "use", "alice"])?;
    assert_eq!(subject(&[])?, "alice");
    // The same session, for another call.
    cli.ok(&["approval", "list"])?;
    let listed = cli.ok(&["context", "list"])?;
    assert!(
        listed.contains("alice") && listed.contains("bob"),
        "{listed}"
    );
    let shown = cli.ok(&["context", "show", "bob"])?;
    assert!(shown.contains(place.oidc.issuer()), "{shown}");
    cli.ok(&["context", "delete", "bob"])?;
    let gone = cli.fails(2, &["--context", "bob", "whoami"])?;
    assert!(gone.contains("no context is named `bob`"), "{gone}");
    place.kept("key")?;
    Ok(())
}

// T12
#[test]
fn an_answer_that_was_not_asked_for_is_no_login() -> Result<()> {
    let place = Place::set()?;
    // Of another login: another state, and then another nonce.
    let mut login = place.first("work", "--browser")?;
    let url = page(&mut login)?;
    let forged = url.replace(field(&url, "state")?, "another");
    let told = place.oidc.log_in(&forged, "bob").unwrap_err().to_string();
    assert!(told.contains("does not belong to the login"), "{told}");
    let forged = url.replace(field(&url, "nonce")?, "another");
    place.oidc.log_in(&forged, "bob")?;
    let refused = login.end()?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        refused.stderr.contains("its `nonce` differs"),
        "{refused:?}"
    );

    // Of another provider (RFC 9207).
    for iss in ["&iss=https%3A%2F%2Fevil.example", ""] {
        let mut login = place.first("work", "--browser")?;
        let url = page(&mut login)?;
        let state = field(&url, "state")?;
        assert_eq!(
            get(&format!("{}?code=c&state={state}{iss}", callback(&url)?))?,
            200
        );
        let refused = login.end()?;
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(
            refused.stderr.contains("another identity provider"),
            "{refused:?}"
        );
    }
    assert_eq!(place.cli()?.ok(&["-o", "name", "context", "list"])?, "");
    Ok(())
}

#[test]
fn a_logout_ends_the_session_and_the_refresh_token() -> Result<()> {
    let place = Place::set()?;
    place.logged_in("alice")?;
    let (tokens, key) = (place.kept("tokens")?, place.kept("key")?);
    let saved = (std::fs::read(&tokens)?, std::fs::read(&key)?);
    let cli = place.cli()?;
    cli.ok(&["whoami"])?;
    cli.ok(&["logout"])?;
    assert!(!tokens.exists() && !key.exists());
    let out = cli.fails(4, &["whoami"])?;
    assert!(out.contains("run lanyard login"), "{out}");

    // Whoever kept a copy of everything has nothing.
    std::fs::write(&key, saved.1)?;
    std::fs::write(&tokens, saved.0)?;
    for path in [&key, &tokens] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    let out = cli.fails(4, &["whoami"])?;
    assert!(
        out.contains("the identity provider has ended the login"),
        "{out}"
    );
    Ok(())
}

#[test]
fn a_session_is_renewed_while_the_provider_changes_its_keys() -> Result<()> {
    let mut place = Place::set_with(300, "sessions: {people: 5s}\n")?;
    place.logged_in("alice")?;
    let before = std::fs::read(place.kept("tokens")?)?;
    place.oidc.rotate()?;
    // The session ends by itself, and the next one comes by an ID token of the new key, which the
    // broker fetches when it did not do so a moment ago.
    lanyard_tests::until(|| {
        let answer = place.cli()?.run(&["whoami"])?;
        Ok(answer.code == 0 && std::fs::read(place.kept("tokens")?)? != before)
    })?;
    place.oidc.retire()?;
    place.logged_in("bob")?;
    assert_eq!(place.cli()?.json(&["whoami"])?["subject"], "bob");
    Ok(())
}

#[test]
fn what_takes_a_fresh_login_of_a_class_says_how_to_get_one() -> Result<()> {
    let lines = "fresh_login: {rearm: {within: 10m, acr: [phr]}}\n";
    let place = Place::set_with(300, lines)?;
    place.logged_in("oncall")?;
    let cli = place.cli()?;
    cli.ok(&[
        "kill",
        "--charter",
        "ticket-router",
        "--reason",
        "drill",
        "--yes",
    ])?;
    let order = cli.ok(&["-o", "name", "kill", "list"])?;
    let rearm = [
        "rearm",
        order.trim(),
        "--reason",
        "it was a drill",
        "--stage",
        "plan",
    ];
    let stale = cli.fails(4, &rearm)?;
    let line = "this needs a fresh login: run lanyard login --fresh --acr \"phr\"";
    assert!(stale.contains(line), "{stale}");

    let mut login = cli.start(&["login", "--browser", "--fresh", "--acr", "phr"])?;
    place.oidc.log_in(&page(&mut login)?, "oncall")?;
    succeeded(&login.end()?)?;
    let proposed = cli.run(&rearm)?;
    assert_ne!(proposed.code, 4, "{proposed:?}");

    // A provider that does as it likes: the class is not what was asked for.
    let mut login = cli.start(&["login", "--browser", "--acr", "phr"])?;
    let url = page(&mut login)?.replace("acr_values=phr", "acr_values=pwd");
    place.oidc.log_in(&url, "oncall")?;
    let refused = login.end()?;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(
        refused.stderr.contains("with `pwd`, not with `phr`"),
        "{refused:?}"
    );
    Ok(())
}
