//! Conversions of the messages in approval.proto: approvals by people.

use lanyard_charter::plan::Risk;
use lanyard_charter::requirement::Requirement;

use crate::stored::{enumerations, messages};

enumerations! {
    Risk => Risk { Low, Medium, High }
}

messages! {
    Requirement => Requirement {
        one people, many from, one expires, one uses, many also, many besides, many sponsors,
        opt risk,
    }
}
