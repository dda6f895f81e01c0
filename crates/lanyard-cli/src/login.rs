//! `lanyard login` and `lanyard logout`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, ValueEnum};
use lanyard_client::login::{Freshness, Login as Begun, LoginError, Offer, Person, Prompt, Wish};
use lanyard_client::{Broker, ClientError, Context, Contexts, LoginIdentity, Store, login};
use lanyard_vocabulary::text::visible;

use crate::outcome::Outcome;
use crate::terminal::say;
use crate::{Global, text};

/// The place where tokens are kept.
#[derive(Clone, Copy, ValueEnum)]
enum TokenStore {
    /// The keyring of the operating system.
    Keyring,
    /// A file that its owner alone may read.
    File,
}

#[derive(Args)]
pub(crate) struct Login {
    /// A broker to log in to for the first time: a context is made for it, and becomes the current
    /// one.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The broker's kill plane, which `lanyard kill` asks where the broker does not answer.
    #[arg(long, value_name = "URL", requires = "endpoint")]
    kill_endpoint: Option<String>,
    /// The authority of the broker's certificate, in PEM; believed at the identity provider as
    /// well.
    #[arg(long, value_name = "FILE", requires = "endpoint")]
    ca_file: Option<PathBuf>,
    /// The name of the new context; the broker's host if it is left out.
    #[arg(long, value_name = "CONTEXT", requires = "endpoint")]
    name: Option<String>,
    /// The identity provider, if the broker has several.
    #[arg(long, requires = "endpoint")]
    issuer: Option<String>,
    /// The place where tokens are kept; if it is left out, the keyring where there is one.
    #[arg(long, requires = "endpoint")]
    store: Option<TokenStore>,
    /// Log in on another device, by a code: for ssh.
    #[arg(long, conflicts_with = "browser")]
    device: bool,
    /// Log in with the browser of this machine.
    #[arg(long)]
    browser: bool,
    /// Be asked again, although logged in.
    #[arg(long)]
    fresh: bool,
    /// The class of the login, as the identity provider calls it: its `acr`.
    #[arg(long, value_name = "VALUE")]
    acr: Option<String>,
}

/// The place where the person sees the provider's pages.
enum Way {
    Browser,
    Device,
}

impl Login {
    /// A browser of this machine where it can be seen from here.
    fn way(&self) -> Way {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let screen = set("DISPLAY") || set("WAYLAND_DISPLAY") || cfg!(target_os = "macos");
        let here = screen && !set("SSH_CONNECTION");
        if self.browser || (here && !self.device) {
            Way::Browser
        } else {
            Way::Device
        }
    }
}

pub(crate) async fn login(global: &Global, asked: Login) -> Result<(), Outcome> {
    let Some(endpoint) = &asked.endpoint else {
        let context = load(&global.context()?)?;
        return enter(global, &context, &asked).await;
    };
    let contexts = Contexts::of_user().map_err(ClientError::from)?;
    let name = match &asked.name {
        Some(name) => name.clone(),
        None => host(endpoint).to_owned(),
    };
    let login = offered(endpoint, &asked).await?;
    let is_new = contexts.existing(&name).is_err();
    let broker = Broker {
        endpoint,
        kill_endpoint: asked.kill_endpoint.as_deref(),
        ca_file: asked.ca_file.as_deref(),
    };
    let path = contexts.write(&name, broker, &login);
    let path = path.map_err(ClientError::from)?;
    let entered = enter(global, &load(&path)?, &asked).await;
    if entered.is_ok() {
        contexts.make_current(&name).map_err(ClientError::from)?;
    } else if is_new {
        contexts.delete(&name).map_err(ClientError::from)?;
    }
    entered
}

fn load(path: &Path) -> Result<Context, Outcome> {
    Ok(Context::load(path).map_err(ClientError::from)?)
}

/// Asks the broker where its people log in.
async fn offered(endpoint: &str, asked: &Login) -> Result<LoginIdentity, Outcome> {
    let authority = asked.ca_file.as_deref().map(|file| {
        let fault = |error| Outcome::usage(format!("{} cannot be read: {error}", file.display()));
        std::fs::read(file).map_err(fault)
    });
    let authority = authority.transpose()?;
    let mut offers = login::offers(endpoint, authority.as_deref()).await?;
    if let Some(issuer) = &asked.issuer {
        offers.retain(|offer| offer.issuer == *issuer);
    }
    let store = asked.store.map_or_else(Store::best, |store| match store {
        TokenStore::Keyring => Store::Keyring,
        TokenStore::File => Store::File,
    });
    match offers.as_slice() {
        [
            Offer {
                issuer,
                client_id,
                scopes,
                audience,
            },
        ] => Ok(LoginIdentity {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            scopes: scopes.clone(),
            audience: audience.clone(),
            store,
        }),
        [] => Err(Outcome::usage(format!(
            "{endpoint} names no such place where people log in"
        ))),
        several => {
            let issuers: Vec<_> = several.iter().map(|offer| visible(&offer.issuer)).collect();
            let line = format!(
                "there are several places to log in; choose one with --issuer: {}",
                issuers.join(", ")
            );
            Err(Outcome::usage(line))
        }
    }
}

/// The host of an endpoint, or what there is.
fn host(endpoint: &str) -> &str {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or(rest)
}

async fn enter(global: &Global, context: &Context, asked: &Login) -> Result<(), Outcome> {
    if global.no_input {
        let line = "logging in asks a person: leave --no-input out";
        return Err(Outcome::usage(line));
    }
    let freshness = if asked.fresh {
        Freshness::Now
    } else {
        Freshness::Any
    };
    let wish = Wish {
        freshness,
        acr_values: asked.acr.clone(),
    };
    let begun = Begun::begin(context, wish).await?;
    let Person { issuer, subject } = match asked.way() {
        Way::Browser => begun.in_a_browser(open).await?,
        Way::Device => begun.on_another_device(show).await?,
    };
    global.note(format_args!(
        "logged in as {} at {}",
        text::line(&subject),
        text::line(&issuer)
    ));
    Ok(())
}

fn show(prompt: &Prompt) {
    // The address of the identity provider is shown whole: an address is of no use once it is cut.
    say(format_args!(
        "open this page on any device: {}",
        visible(&prompt.page)
    ));
    say(format_args!(
        "and enter this code there: {}",
        text::line(&prompt.code)
    ));
    if let Some(page) = &prompt.page_with_code {
        let page = visible(page);
        say(format_args!(
            "or open this page, and compare the code: {page}"
        ));
    }
}

/// Names the page, and opens it where this machine knows how to.
fn open(page: &str) {
    say(format_args!(
        "open this page on this machine: {}",
        visible(page)
    ));
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let started = tokio::process::Command::new(opener)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Without one, the person opens it.
    drop(started);
}

pub(crate) async fn logout(global: &Global) -> Result<(), Outcome> {
    let context = load(&global.context()?)?;
    let out = login::log_out(&context).await?;
    global.note("logged out; nothing is kept here");
    if let Some(error) = out.provider {
        let line = format!("the refresh token may still be good at the identity provider: {error}");
        say(text::line(&line));
    }
    match out.broker {
        Some(error) => {
            say("the session may still be good at the broker until it ends by itself");
            Err(error.into())
        }
        None => Ok(()),
    }
}

impl From<LoginError> for Outcome {
    fn from(error: LoginError) -> Self {
        Self::Client(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_context_is_called_after_the_host() {
        assert_eq!(
            host("https://lanyard.acme.example:7070/"),
            "lanyard.acme.example"
        );
        assert_eq!(host("lanyard.acme.example"), "lanyard.acme.example");
    }
}
