//! The image on a cluster with pods: installed, started again, reloaded, asked by agents in pods.
//!
//! `cargo xtask pods` starts the cluster and runs these. Without one, each says that it did not
//! run.

mod agents;
mod broker;
mod chart;
mod gap;
mod image;
mod node;
mod volumes;

use lanyard_rig::Pods;

/// The cluster that these run on.
fn pods() -> Option<Pods> {
    let pods = Pods::shared();
    if pods.is_none() {
        eprintln!("NOT RUN: no cluster with pods is named; `cargo xtask pods` starts one");
    }
    pods
}
