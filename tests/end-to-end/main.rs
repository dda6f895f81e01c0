//! Through the command line and the HTTP doors, against a real daemon.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod actions;
mod approvals;
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
mod delegation;
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
mod identities;
mod issuers;
mod judging;
mod kill;
mod listeners;
mod local_agent;
mod login;
mod mcp;
mod metadata;
mod metrics;
mod on_call;
mod people;
mod plans;
mod providers;
mod python_sdk;
mod readme;
mod recording;
mod reference;
mod rehearsal;
mod reports;
mod restore;
mod rust_client;
mod setup;
mod signals;
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
