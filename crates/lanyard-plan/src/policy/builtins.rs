//! The functions that a policy may call: those that answer as opa does.
//!
//! If a function answers differently from opa, or is undefined where opa reports an error, a deny
//! rule does not fire and the plan passes. A function is therefore allowed by name, after a
//! comparison with opa over hostile arguments found no difference; or is reimplemented here; or is
//! refused, and a charter whose policy calls it does not come into force.

mod pattern;
mod reimplemented;

use anyhow::{Result, bail};
use regorus::{Engine, Value};

/// The status of a function name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Policies may call the function.
    Allowed,
    /// Policies may not call the function, for this reason.
    Refused(&'static str),
    /// No such function exists.
    Missing,
}

/// A reimplementation of an opa function.
type Reimplementation = fn(&[Value]) -> Result<Value>;

/// Functions of the engine that answer as opa does.
const ALLOWED: &[&str] = &[
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

/// Reimplemented functions, with their number of arguments.
const REIMPLEMENTED: &[(&str, u8, Reimplementation)] = &[
    ("array.slice", 3, reimplemented::slice),
    ("base64.decode", 1, reimplemented::base64_decode),
    ("count", 1, reimplemented::count),
    ("format_int", 2, reimplemented::format_int),
    ("indexof", 2, reimplemented::indexof),
    ("json.is_valid", 1, reimplemented::json_is_valid),
    ("json.unmarshal", 1, reimplemented::json_unmarshal),
    ("lower", 1, reimplemented::lower),
    ("net.cidr_contains", 2, reimplemented::cidr_contains),
    ("net.cidr_is_valid", 1, reimplemented::cidr_is_valid),
    ("product", 1, reimplemented::product),
    ("regex.match", 2, pattern::is_match),
    ("replace", 3, reimplemented::replace),
    ("sprintf", 2, reimplemented::sprintf),
    ("strings.count", 2, reimplemented::strings_count),
    ("substring", 3, reimplemented::substring),
    ("sum", 1, reimplemented::sum),
    ("to_number", 1, reimplemented::to_number),
    ("upper", 1, reimplemented::upper),
];

const OTHERWISE: &str = "it answers otherwise than opa on some arguments";
const NUMBERS: &str =
    "on large numbers and fractions it stays without an answer where opa has one, or an error";
const PATTERNS: &str =
    "its patterns are read otherwise than opa's; use regex.match, startswith or endswith";
const UNBOUNDED: &str = "its answer can be larger than any memory";
const NOT_THE_SAME_TWICE: &str = "it does not answer the same twice";

/// Refused functions, with their number of arguments and the reason.
const REFUSED: &[(&str, u8, &str)] = &[
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

/// Returns the status of a function name.
pub(super) fn status(name: &str) -> Status {
    let out = REFUSED.iter().find(|(out, ..)| *out == name);
    if let Some((.., why)) = out {
        Status::Refused(why)
    } else if ALLOWED.contains(&name) || REIMPLEMENTED.iter().any(|(own, ..)| *own == name) {
        Status::Allowed
    } else {
        Status::Missing
    }
}

/// Lists every allowed function.
pub(super) fn allowed() -> impl Iterator<Item = &'static str> {
    let own = REIMPLEMENTED.iter().map(|(name, ..)| *name);
    ALLOWED.iter().copied().chain(own)
}

/// Installs the reimplementations, and an error for each refused function. A policy that calls one
/// under another name (`with lower as units.parse`) then has no result, which denies.
pub(super) fn install(engine: &mut Engine) {
    for (name, arguments, function) in REIMPLEMENTED {
        let function = |values: Vec<Value>| function(&values);
        // A new engine has no earlier extension of this name, so this cannot fail.
        engine
            .add_extension((*name).to_owned(), *arguments, Box::new(function))
            .ok();
    }
    for (name, arguments, why) in REFUSED {
        let refused = move |_| bail!("`{name}` may not be called: {why}");
        engine
            .add_extension((*name).to_owned(), *arguments, Box::new(refused))
            .ok();
    }
}
