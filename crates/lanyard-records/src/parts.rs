//! The parts of records, by the file of proto/lanyard/journal/v1 that holds their messages.

mod approval;
mod charter;
mod decision;
mod identity;
mod lease;
mod operation;
mod plan;
mod signing_key;
mod stop;
mod task;
