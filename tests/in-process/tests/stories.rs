//! What several calls of several people come to, through the command line and the HTTP doors.

mod approvals;
mod delegation;
mod identities;
mod judging;
mod metrics;
mod people;
mod reports;
mod signals;
