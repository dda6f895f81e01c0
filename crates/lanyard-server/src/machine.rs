//! What a daemon takes from its machine: clocks, providers, and the program that judges plans. A
//! test gives it others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lanyard_core::provider::Provider;
use lanyard_engine::clock::{MachineTime, TimeSource};
use lanyard_vocabulary::name::Name;

use crate::kinds::Kinds;

/// The surroundings of one daemon.
#[derive(Clone)]
pub struct Machine {
    /// The clocks from which the ledger's time is computed.
    pub clocks: Arc<dyn TimeSource>,
    /// Providers by target, in place of those that the configuration describes.
    pub providers: BTreeMap<Name, Arc<dyn Provider>>,
    /// The program whose command `judge` judges one plan.
    pub judge: PathBuf,
    /// The kinds of target beside those that are built in.
    pub kinds: Kinds,
}

impl Default for Machine {
    /// The machine of this process, and this program as the judge.
    fn default() -> Self {
        Self {
            clocks: Arc::new(MachineTime),
            providers: BTreeMap::new(),
            // The image of this process, whatever happened to its file since.
            judge: PathBuf::from("/proc/self/exe"),
            kinds: Kinds::default(),
        }
    }
}
