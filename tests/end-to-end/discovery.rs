//! Agents of an issuer whose keys are discovered.

use anyhow::Result;
use lanyard_rig::Https;
use lanyard_tests::{Stage, until};

#[test]
fn the_keys_of_an_issuer_are_found_by_its_openid_configuration() -> Result<()> {
    let mut stage = Stage::set()?;
    let folder = stage.directory.path().join("issuer");
    std::fs::create_dir_all(folder.join(".well-known"))?;
    let Ok(server) = Https::start(&folder, stage.directory.path()) else {
        eprintln!("NOT RUN: there is no Python to serve an issuer with");
        return Ok(());
    };
    let issuer = server.url();
    let document = |issuer: &str| {
        format!(
            r#"{{"issuer": "{issuer}", "jwks_uri": "{}/jwks.json"}}"#,
            server.url()
        )
    };
    let configuration = folder.join(".well-known/openid-configuration");
    let keys = stage.directory.path().join("dev-issuer.jwks.json");
    std::fs::copy(keys, folder.join("jwks.json"))?;

    let context = stage.directory.path().join("contexts/agent.json");
    let text = std::fs::read_to_string(&context)?;
    std::fs::write(
        &context,
        text.replace("https://agents.dev.lanyard.invalid", &issuer),
    )?;
    let charter = stage.directory.path().join("charters/ticket-router.yaml");
    let text = std::fs::read_to_string(&charter)?;
    std::fs::write(
        &charter,
        text.replace("https://agents.dev.lanyard.invalid", &issuer),
    )?;
    let discovered = |config: String| {
        config.replacen(
            "https://agents.dev.lanyard.invalid\n    kind: agents\n    jwks_file: dev-issuer.jwks.json",
            &format!("{issuer}\n    kind: agents\n    discovery: {{ca_file: dev-ca.pem}}"),
            1,
        )
    };

    // T9: a document that names another issuer is of somebody else.
    std::fs::write(&configuration, document(&format!("{issuer}/")))?;
    stage.daemon = stage.daemon.serve_again(discovered)?;
    stage.agent.fails(4, &["whoami"])?;
    until(|| {
        stage.agent.fails(4, &["whoami"])?;
        Ok(stage.daemon.log().contains("names another issuer"))
    })?;

    std::fs::write(&configuration, document(&issuer))?;
    stage.daemon = stage.daemon.serve_again(discovered)?;
    until(|| Ok(stage.agent.run(&["whoami"])?.code == 0))?;
    stage.token(&stage.task()?).map(drop)
}
