//! The description of the configuration: every field with what can stand in it. The reader, the
//! JSON Schema and the reference are made from it. What belongs to a section is described beside
//! the section's reader.

use lanyard_charter::environments_shape;
use lanyard_document::shape::{Choice, Form, List, Map, Shape, optional, required};
use lanyard_vocabulary::time::Ttl;
use serde_json::{Value, json};

use crate::bounds::JournalBounds;
use crate::hooks::security_events;
use crate::kinds::Kinds;
use crate::values::{ADDRESS, PATH, URL};
use crate::{charters, identity, signals, targets};

/// The longest that can be said.
///
/// # Limit
/// - for: `rearm_soak`
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_REARM_SOAK: Ttl = Ttl::at_least_a_second(24 * 3600);

/// The longest time between two drills.
///
/// # Limit
/// - for: `drill_every`
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_DRILL_INTERVAL: Ttl = Ttl::at_least_a_second(90 * 24 * 3600);

/// The longest time for which a key may sign.
///
/// # Limit
/// - for: `rotate_signing_keys_every`
/// - unit: of time
/// - beyond: the configuration is refused
/// - test: `times_of_the_configuration_have_bounds`
const MAX_SIGNING_TIME: Ttl = Ttl::at_least_a_second(400 * 24 * 3600);

/// Describes the whole file, where targets may be of any of these kinds.
pub(crate) fn shape(kinds: Kinds) -> Shape {
    let charters = Choice::at_least_one([
        vec![required(
            "charters",
            "The directory of the charters: every `*.yaml` in it, and the policies beneath it.",
            PATH,
        )],
        vec![required(
            "charter_objects",
            "Charters that are Kubernetes objects.",
            charters::config::shape(),
        )],
    ]);
    let map = Map::new()
        .with(required(
            "data_dir",
            "The directory of the journal, snapshots, plans and signing keys, for one daemon at a time.",
            PATH,
        ))
        .with(charters);
    let map = identity::config::describe(listeners(map));
    let map = security_events::describe(signals::describe(doors(map)));
    map.with(required(
        "environments",
        "The environments that charters may name, each with its kind.",
        environments_shape(),
    ))
    .with(required(
        "targets",
        "The targets that grants may be on.",
        targets::shape(kinds),
    ))
    .into()
}

fn listeners(map: Map) -> Map {
    let tls = Map::new()
        .with(required(
            "certificate",
            "The certificate chain in PEM.",
            PATH,
        ))
        .with(required("key", "The private key in PEM, mode 0600.", PATH));
    map.with(required(
        "listen",
        "The address of gRPC and HTTP; off loopback only with `tls`.",
        ADDRESS,
    ))
    .with(optional(
        "kill_listen",
        "An address, with threads of its own, for kills alone; off loopback only with `tls`.",
        ADDRESS,
    ))
    .with(optional(
        "metrics_listen",
        "The address of `/metrics`; off loopback only with `tls` and one of the next two.",
        ADDRESS,
    ))
    .with(optional(
        "metrics_bearer_file",
        "A token of 32 characters at least, by which metrics are read; beside `metrics_listen`.",
        PATH,
    ))
    .with(optional(
        "metrics_client_ca",
        "The authorities whose client certificates read metrics; beside `metrics_listen`.",
        PATH,
    ))
    .with(optional(
        "tls",
        "The certificate of every address, read again when it changes.",
        tls,
    ))
    .with(required(
        "issuer",
        "The issuer (`iss`) of Lanyard's own tokens.",
        Shape::Text,
    ))
    .with(required(
        "audience",
        "The audience (`aud`) that identity tokens must have, alone.",
        Shape::Text,
    ))
}

fn doors(map: Map) -> Map {
    let secret = || {
        required(
            "secret_file",
            "The secret that signs messages, mode 0600.",
            PATH,
        )
    };
    let webhook = Map::new()
        .with(required("name", "The receiver's name.", Form::NAME))
        .with(secret())
        .with(required("url", "The URL that events are sent to.", URL));
    let reporter = Map::new()
        .with(required("name", "The reporter's name.", Form::NAME))
        .with(secret());
    let withdrawn = List::of(Shape::Text);
    let tickets = Map::new()
        .with(required(
            "jwks_file",
            "The Ed25519 public keys, as a JWK set.",
            PATH,
        ))
        .with(optional("withdrawn", "The ids of withdrawn tickets.", withdrawn).absent("none"));
    map.with(optional(
        "approval_url",
        "The page on which people decide, with `{approval}` in the place of the id.",
        Form::new("an https URL with `{approval}`", "\\{approval\\}"),
    ))
    .with(optional("webhooks", "The receivers of events.", List::of(webhook)).absent("none"))
    .with(
        optional(
            "reporters",
            "The systems that may report actions by signed messages.",
            List::of(reporter),
        )
        .absent("none"),
    )
    .with(
        optional(
            "plan_sealing_keys",
            "The keys that seal stored plans.",
            PATH,
        )
        .absent("a file that the daemon makes in `data_dir`"),
    )
    .with(
        optional(
            "witness_file",
            "A file on another disk that remembers how far the journal is.",
            PATH,
        )
        .absent("none"),
    )
    .with(
        optional(
            "journal",
            "How long the records of the journal are kept.",
            JournalBounds::shape(),
        )
        .absent("everything is kept"),
    )
    .with(
        optional(
            "rearm_soak",
            "How long the plan role is issued again before the apply role can be re-armed.",
            Shape::span(MAX_REARM_SOAK),
        )
        .or("15m"),
    )
    .with(
        optional(
            "drill_every",
            "How often a canary is killed at every target.",
            Shape::span(MAX_DRILL_INTERVAL),
        )
        .or("24h"),
    )
    .with(
        optional(
            "rotate_signing_keys_every",
            "How long a key signs the broker's own tokens, an hour at least, before the next one does.",
            Shape::span(MAX_SIGNING_TIME),
        )
        .or("720h"),
    )
    .with(
        optional(
            "kill_tickets",
            "The offline keys whose tickets may engage kills.",
            tickets,
        )
        .absent("no ticket is believed"),
    )
}

/// The JSON Schema of the configuration.
pub(crate) fn schema(kinds: Kinds) -> Value {
    let mut schema = shape(kinds).schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        schema.insert("title".to_owned(), json!("The configuration of lanyardd"));
    }
    schema
}

#[cfg(test)]
mod tests;
