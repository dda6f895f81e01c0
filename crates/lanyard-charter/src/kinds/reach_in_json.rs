//! The JSON of what a plan changes, which records had before they had messages, and which `lanyard
//! audit -o json` prints. A kind that is built in has a form of its own, and every other kind has
//! that of its record.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::plan_objects;
use crate::reach::{KindReached as _, PlanObjects, PlanReach, Reached, RecordedReach};
use crate::world::MoreKinds;

fn built_in() -> Vec<PlanObjects> {
    plan_objects(MoreKinds::default())
}

impl Serialize for PlanReach {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let built_in = built_in();
        let mut all = BTreeMap::new();
        for kind in built_in.iter().filter(|kind| kind.is_in_every_reach()) {
            let none = serde_json::json!({"named": [], "unnamed": []});
            all.insert(kind.kind().as_str(), to_raw_value(&none));
        }
        for part in self.parts() {
            let is_own = built_in.iter().any(|it| it.kind().as_str() == part.kind());
            let json = if is_own {
                part.json()
            } else {
                part.recorded().json()
            };
            all.insert(part.kind(), json);
        }
        let all: Result<BTreeMap<_, _>, _> = all
            .into_iter()
            .map(|(kind, json)| Ok((kind, json?)))
            .collect();
        let all = all.map_err(|error: serde_json::Error| S::Error::custom(error))?;
        all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PlanReach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all: BTreeMap<String, Value> = Deserialize::deserialize(deserializer)?;
        let built_in = built_in();
        let read = |(kind, value): (String, Value)| -> serde_json::Result<Reached> {
            match built_in.iter().find(|it| it.kind().as_str() == kind) {
                Some(own) => own.read(value),
                None => Ok(RecordedReach::read(&kind, &value.to_string())?.into()),
            }
        };
        let parts: serde_json::Result<Self> = all.into_iter().map(read).collect();
        parts.map_err(D::Error::custom)
    }
}
