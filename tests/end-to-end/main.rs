//! Through the command line and the HTTP doors, against a real daemon.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod actions;
mod answers;
mod asking;
mod audit;
mod bad_input;
mod breakers;
mod chart;
mod charter_objects;
mod charters;
mod comfort;
mod crash;
mod debian;
mod discovery;
mod disk;
mod doctor;
mod drill;
mod enrolment;
mod examples;
mod exec;
mod exposure;
mod faults;
mod first_install;
mod hammer;
mod hostile_tokens;
mod issuers;
mod kill;
mod listeners;
mod listings;
mod local_agent;
mod login;
mod machine;
mod mcp;
mod metadata;
mod on_call;
mod plans;
mod providers;
mod python_sdk;
mod readme;
mod recording;
mod reference;
mod rehearsal;
mod restore;
mod rust_client;
mod setup;
mod starts;
mod terminal;
mod terraform_apply;
mod thousand;
mod tokens;
mod tool_wrapper;
mod with_aws;
mod with_git;
mod with_github;
mod with_kubectl;
mod with_terraform;
mod with_vault;
mod workloads;
