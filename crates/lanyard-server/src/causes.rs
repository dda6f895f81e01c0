//! The causes of an error in one line.

/// The error with each cause that its message does not contain already.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = cause.trim_end();
        if said.is_empty() {
            said.push_str(cause);
        } else if !said.contains(cause) {
            said.push_str(": ");
            said.push_str(cause);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_that_a_message_names_already_is_named_once() {
        let error = anyhow!("no such file").context("cannot read `x`: no such file");
        assert_eq!(chain(&error), "cannot read `x`: no such file");
    }
}
