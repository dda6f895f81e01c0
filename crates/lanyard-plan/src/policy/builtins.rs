//! The functions that a policy may call: those that answer as opa's do.
//!
//! A rule that denies is passed when a function answers otherwise than its author knows it from opa, or stays without an answer
//! where opa has an error. So a function is let in by name, when a comparison with opa over hostile arguments found nothing;
//! is mended here; or is left out, and a charter that names a policy with it does not come into force.

mod mended;
mod pattern;

use anyhow::{Result, bail};
use regorus::{Engine, Value};

/// What is known of a function's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// A policy may call it.
    LetIn,
    /// A policy may not, for this reason.
    LeftOut(&'static str),
    /// There is none.
    Not,
}

/// A function of opa's that is written anew.
type Mended = fn(&[Value]) -> Result<Value>;

/// Those that answer as opa's do.
const LET_IN: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "base64.encode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "concat",
    "contains",
    "endswith",
    "graph.reachable",
    "hex.decode",
    "hex.encode",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "max",
    "min",
    "numbers.range",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.union",
    "object.union_n",
    "print",
    "round",
    "sort",
    "split",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.reverse",
    "time.clock",
    "time.date",
    "time.now_ns",
    "time.weekday",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "walk",
];

/// Those that are written anew, with as many arguments.
const MENDED: &[(&str, u8, Mended)] = &[
    ("array.slice", 3, mended::slice),
    ("base64.decode", 1, mended::base64_decode),
    ("count", 1, mended::count),
    ("format_int", 2, mended::format_int),
    ("indexof", 2, mended::indexof),
    ("json.is_valid", 1, mended::json_is_valid),
    ("json.unmarshal", 1, mended::json_unmarshal),
    ("lower", 1, mended::lower),
    ("net.cidr_contains", 2, mended::cidr_contains),
    ("net.cidr_is_valid", 1, mended::cidr_is_valid),
    ("product", 1, mended::product),
    ("regex.match", 2, pattern::is_match),
    ("replace", 3, mended::replace),
    ("sprintf", 2, mended::sprintf),
    ("strings.count", 2, mended::strings_count),
    ("substring", 3, mended::substring),
    ("sum", 1, mended::sum),
    ("to_number", 1, mended::to_number),
    ("upper", 1, mended::upper),
];

const OTHERWISE: &str = "it answers otherwise than opa on some arguments";
const NUMBERS: &str =
    "on large numbers and fractions it stays without an answer where opa has one, or an error";
const PATTERNS: &str =
    "its patterns are read otherwise than opa's; use regex.match, startswith or endswith";
const UNBOUNDED: &str = "its answer can be larger than any memory";
const NOT_THE_SAME_TWICE: &str = "it does not answer the same twice";

/// Those that are not let in, with as many arguments, and why.
const LEFT_OUT: &[(&str, u8, &str)] = &[
    ("base64.is_valid", 1, OTHERWISE),
    ("base64url.decode", 1, OTHERWISE),
    ("bits.and", 2, NUMBERS),
    ("bits.lsh", 2, NUMBERS),
    ("bits.negate", 1, NUMBERS),
    ("bits.or", 2, NUMBERS),
    ("bits.rsh", 2, NUMBERS),
    ("bits.xor", 2, NUMBERS),
    ("ceil", 1, OTHERWISE),
    ("floor", 1, OTHERWISE),
    ("glob.match", 3, PATTERNS),
    ("glob.quote_meta", 1, OTHERWISE),
    ("graph.reachable_paths", 2, OTHERWISE),
    ("indexof_n", 2, OTHERWISE),
    ("json.filter", 2, OTHERWISE),
    ("json.marshal", 1, OTHERWISE),
    ("json.marshal_with_options", 2, OTHERWISE),
    ("json.remove", 2, OTHERWISE),
    ("net.cidr_expand", 1, UNBOUNDED),
    ("numbers.range_step", 3, OTHERWISE),
    ("object.subset", 2, OTHERWISE),
    ("rand.intn", 2, NOT_THE_SAME_TWICE),
    ("regex.find_n", 3, PATTERNS),
    ("regex.is_valid", 1, PATTERNS),
    ("regex.replace", 3, PATTERNS),
    ("regex.split", 2, PATTERNS),
    ("regex.template_match", 4, PATTERNS),
    ("semver.compare", 2, OTHERWISE),
    ("semver.is_valid", 1, OTHERWISE),
    ("strings.replace_n", 2, OTHERWISE),
    ("time.add_date", 4, OTHERWISE),
    ("time.diff", 2, OTHERWISE),
    ("time.format", 1, OTHERWISE),
    ("time.parse_duration_ns", 1, OTHERWISE),
    ("time.parse_ns", 2, OTHERWISE),
    ("time.parse_rfc3339_ns", 1, OTHERWISE),
    ("units.parse", 1, OTHERWISE),
    ("units.parse_bytes", 1, OTHERWISE),
    ("urlquery.decode", 1, OTHERWISE),
    ("urlquery.decode_object", 1, OTHERWISE),
    ("urlquery.encode", 1, OTHERWISE),
    ("urlquery.encode_object", 1, OTHERWISE),
];

/// What is known of this name.
pub(super) fn known(name: &str) -> Known {
    let out = LEFT_OUT.iter().find(|(out, ..)| *out == name);
    if let Some((.., why)) = out {
        Known::LeftOut(why)
    } else if LET_IN.contains(&name) || MENDED.iter().any(|(mended, ..)| *mended == name) {
        Known::LetIn
    } else {
        Known::Not
    }
}

/// Every name that is let in.
pub(super) fn let_in() -> impl Iterator<Item = &'static str> {
    let mended = MENDED.iter().map(|(name, ..)| *name);
    LET_IN.iter().copied().chain(mended)
}

/// Puts the mended ones in the place of the engine's, and an error in the place of those that are left out: a policy that
/// calls one by another name (`with lower as units.parse`) has no answer, which denies.
pub(super) fn install(engine: &mut Engine) {
    for (name, arguments, function) in MENDED {
        let function = |values: Vec<Value>| function(&values);
        // A new engine has no function of this name that was put in before.
        engine
            .add_extension((*name).to_owned(), *arguments, Box::new(function))
            .ok();
    }
    for (name, arguments, why) in LEFT_OUT {
        let refused = move |_| bail!("{name} is not let in: {why}");
        engine
            .add_extension((*name).to_owned(), *arguments, Box::new(refused))
            .ok();
    }
}
