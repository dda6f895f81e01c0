//! `lanyard explain`: what a finding means.

use clap::Args;
use lanyard_core::document::{Code, nearest};

use crate::Global;
use crate::outcome::Outcome;
use crate::output::{Rows, print_one};

#[derive(Args)]
pub(crate) struct Explain {
    /// The code of a finding, such as LC108, or its name; all of them are listed when it is left out.
    code: Option<String>,
}

pub(crate) fn run(global: &Global, asked: &Explain) -> Result<(), Outcome> {
    let Some(text) = &asked.code else {
        let mut rows = Rows::new(&["code", "name", "severity", "summary"]);
        for code in Code::ALL {
            rows.push([
                code.id().to_owned(),
                code.name().to_owned(),
                code.severity().to_string(),
                code.summary().to_owned(),
            ]);
        }
        rows.print(global.output);
        return Ok(());
    };
    let Some(code) = Code::find(text) else {
        let names = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]);
        let hint =
            nearest(text, names).map_or_else(String::new, |name| format!(": did you mean {name}?"));
        return Err(Outcome::usage(format!("there is no finding {text}{hint}")));
    };
    print_one(
        global.output,
        &[
            ("code", code.id().to_owned()),
            ("name", code.name().to_owned()),
            ("severity", code.severity().to_string()),
            ("summary", code.summary().to_owned()),
            ("explanation", code.explanation().to_owned()),
        ],
    );
    Ok(())
}
