//! A small language: what its one description makes of documents, of the schema and of the
//! reference.

use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Ttl;
use serde_json::json;

use super::*;
use crate::{Findings, Item, read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Red,
    Green,
}

const COLOURS: &[Word<Colour>] = &[
    Word::meaning("red", Colour::Red, "for danger"),
    Word::new("green", Colour::Green),
];

const NO_LAMPS: Empty = Empty::new(Code::EmptyGrant, "no lamp is named").help("name one");

fn even(text: &str) -> Result<(), &'static str> {
    match text.len() % 2 {
        0 => Ok(()),
        _ => Err("an even number of letters is wanted"),
    }
}

fn signal() -> Shape {
    let lamp = Map::new()
        .with(required("name", "Unique.", Form::NAME))
        .with(optional("colour", "What is seen.", Shape::words(COLOURS)).or("green"))
        .with(optional("watts", "How bright.", Shape::number(1, 60)).absent("as it comes"))
        .with(Choice::exactly_one([
            vec![required("socket", "Where it is.", Shape::Text)],
            vec![
                required("street", "Where it is, by street.", Shape::Text),
                required("house", "And by house.", Shape::Text),
            ],
        ]));
    let longest = Ttl::at_least_a_second(60);
    Map::new()
        .with(required("kind", "What this is.", Shape::Constant("Signal")))
        .with(required(
            "lamps",
            "What shines.",
            List::of(lamp).not_empty(NO_LAMPS).at_most(3),
        ))
        .with(optional(
            "labels",
            "For people.",
            Open::of(Form::ANY, Form::new("a word", "^(..)+$").checked(even)),
        ))
        .with(Choice::at_most_one([
            vec![optional("on", "How long it shines.", Shape::span(longest))],
            vec![optional(
                "code",
                "What it says.",
                Shape::Either(Form::ANY, Map::new()),
            )],
        ]))
        .into()
}

#[derive(Debug, PartialEq, Eq)]
struct Lamp {
    name: Name,
    colour: Colour,
    watts: Option<u32>,
}

fn lamp(item: Item<'_>) -> Option<Lamp> {
    let lamp = item.section()?;
    for place in ["socket", "street", "house"] {
        lamp.get(place).and_then(Item::text);
    }
    let name = lamp.get("name").and_then(Item::parsed);
    let colour = lamp.get("colour").and_then(|item| item.word(COLOURS));
    let watts = lamp.get("watts").and_then(Item::number);
    Some(Lamp {
        name: name?,
        colour: colour?,
        watts,
    })
}

/// Reads a document: the lamps, and the findings, one a line.
fn lamps(shape: &Shape, text: &str) -> (Vec<Lamp>, String) {
    let (findings, root) = (Findings::default(), read(text).unwrap());
    let mut lamps = Vec::new();
    if let Some(top) = findings.item(&root, shape).section() {
        if let Some(kind) = top.get("kind") {
            kind.constant();
        }
        let items = top.get("lamps").map(Item::items);
        lamps.extend(items.into_iter().flatten().filter_map(lamp));
        let labels = top.get("labels").map(Item::entries);
        for entry in labels.into_iter().flatten() {
            let _checked = entry.value.text();
        }
        top.get("on").and_then(Item::span_of_time);
        top.get("code").and_then(Item::text);
    }
    let lines = findings.sorted();
    let lines: Vec<_> = lines.iter().map(|finding| finding.line("x")).collect();
    (lamps, lines.join("\n"))
}

#[test]
fn values_are_read_and_absent_ones_are_those_of_the_description() {
    let text = "kind: Signal\nlamps:\n- {name: one, colour: red, watts: 60, socket: a}\n- {name: two, street: b, house: c}\nlabels: {a: even}\non: 60s\n";
    let one = Lamp {
        name: "one".parse().unwrap(),
        colour: Colour::Red,
        watts: Some(60),
    };
    let two = Lamp {
        name: "two".parse().unwrap(),
        colour: Colour::Green,
        watts: None,
    };
    let shape = signal();
    assert_eq!(lamps(&shape, text), (vec![one, two], String::new()));
    assert_eq!(shape.untaken(), Vec::<String>::new());
}

#[test]
fn every_fault_is_found_by_the_description() {
    let found = |text: &str| lamps(&signal(), text).1;
    let expected = [
        "x:1:1: error[LC012]: the field `kind` is missing here",
        "x:2:3: error[LC012]: the field `name` is missing here",
        "x:2:3: error[LC012]: write one of `socket`, or `street` with `house`",
        "x:2:11: error[LC015]: `gren` is none of red, green (did you mean `green`?)",
        "x:3:3: error[LC012]: the field `house` is missing here",
        "x:3:20: error[LC015]: expected a whole number from 1 to 60, found `61`",
        "x:4:3: error[LC015]: write one of `socket`, or `street` with `house`",
        "x:5:13: error[LC015]: `odd`: an even number of letters is wanted",
        "x:6:5: error[LC015]: 61s is more than the 1m that is possible",
    ];
    let text = "lamps:\n- colour: gren\n- {name: a, watts: 61, street: b}\n- {name: b, street: c, socket: d}\nlabels: {a: odd}\non: 61s\n";
    assert_eq!(found(text), expected.join("\n"));
    assert_eq!(
        found("kind: Sign\nlamps: []\nlables: {}\non: 1s\ncode: x\n"),
        [
            "x:1:7: error[LC015]: `Sign` is none of Signal (did you mean `Signal`?)",
            "x:2:8: error[LC021]: no lamp is named (name one)",
            "x:3:1: error[LC013]: there is no field `lables` here (did you mean `labels`?)",
            "x:5:7: error[LC015]: write at most one of `on` or `code`",
        ]
        .join("\n")
    );
    let lamp = "- {name: a, socket: b}\n";
    assert_eq!(
        found(&format!("kind: Signal\nlamps:\n{}", lamp.repeat(4))),
        "x:3:3: error[LC015]: 3 entries are possible here at most, and these are 4"
    );
}

#[test]
fn a_reader_that_differs_from_its_description_keeps_the_document_out() {
    let shape = Map::new()
        .with(required("colour", "What is seen.", Shape::words(COLOURS)))
        .into();
    let (findings, root) = (Findings::default(), read("colour: red\n").unwrap());
    let section = findings.item(&root, &shape).section().unwrap();
    assert_eq!(Shape::untaken(&shape), ["colour"]);
    assert!(section.get("color").is_none());
    assert!(section.get("colour").and_then(Item::number).is_none());
    let fewer = &COLOURS[..1];
    assert!(
        section
            .get("colour")
            .and_then(|it| it.word(fewer))
            .is_none()
    );
    assert_eq!(findings.sorted().len(), 3);
}

#[test]
fn the_schema_says_what_the_reader_says() {
    let schema = signal().schema();
    assert_eq!(schema["required"], json!(["kind", "lamps"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(
        schema["allOf"],
        json!([{"not": {"required": ["on", "code"]}}])
    );
    assert_eq!(
        schema["properties"]["lamps"],
        json!({
            "type": "array", "minItems": 1, "maxItems": 3,
            "description": "What shines.",
            "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                    "name": {
                        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
                        "description": "Unique.",
                    },
                    "colour": {
                        "enum": ["red", "green"],
                        "description": "What is seen. `red`: for danger. `green` when absent.",
                    },
                    "watts": {
                        "type": "integer", "minimum": 1, "maximum": 60,
                        "description": "How bright. When absent: as it comes.",
                    },
                    "socket": {"type": "string", "minLength": 1, "description": "Where it is."},
                    "street": {
                        "type": "string", "minLength": 1, "description": "Where it is, by street.",
                    },
                    "house": {"type": "string", "minLength": 1, "description": "And by house."},
                },
                "oneOf": [
                    {"required": ["socket"], "properties": {"street": false, "house": false}},
                    {"required": ["street", "house"], "properties": {"socket": false}},
                ],
            },
        })
    );
}

#[test]
fn the_reference_has_a_row_for_each_field_and_says_which_exclude_each_other() {
    let expected = "\
| field | present | value | meaning |
|---|---|---|---|
| `kind` | required | `Signal` | What this is. |
| `lamps` | required | a list: a map | What shines. |
| `lamps[].name` | required | a name | Unique. |
| `lamps[].colour` | optional | `red`, `green` | What is seen. `red`: for danger. `green` when absent. |
| `lamps[].watts` | optional | a number from 1 to 60 | How bright. When absent: as it comes. |
| `lamps[].socket` | one of `socket`, or `street` with `house` | a text | Where it is. |
| `lamps[].street` | one of `socket`, or `street` with `house` | a text | Where it is, by street. |
| `lamps[].house` | one of `socket`, or `street` with `house` | a text | And by house. |
| `labels` | optional | a map: a text to a word | For people. |
| `on` | at most one of `on` or `code` | a span: `90s`, `10m`, `2h` | How long it shines. 1m at most. |
| `code` | at most one of `on` or `code` | a text, or a map | What it says. |
";
    assert_eq!(signal().reference(), expected);
}

#[test]
fn fields_have_an_order() {
    let Shape::Map(map) = signal() else {
        panic!("a signal is a map");
    };
    let places = ["kind", "lamps", "labels", "on", "code", "else"].map(|name| map.place(name));
    assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
}

#[test]
fn a_finding_says_why_what_would_help_and_the_name_that_the_author_chose() {
    let keys = List::of(Shape::Text).not_empty(Empty::new(Code::Value, "name a key").of("lock"));
    let shape = Map::new()
        .with(optional("locks", "By name.", Open::of(Form::ANY, keys)))
        .with(
            Choice::at_least_one([
                vec![required("bolt", "By itself.", Shape::Text)],
                vec![required("chain", "Instead.", Shape::Text)],
            ])
            .code(Code::EmptyGrant)
            .message("nothing is shut")
            .help("name a bolt or a chain"),
        )
        .into();
    for (text, expected) in [
        (
            "{bolt: a, locks: {door: [], gate: [a]}}",
            "x:1:25: error[LC015]: lock `door`: name a key",
        ),
        (
            "{}",
            "x:1:1: error[LC021]: nothing is shut (name a bolt or a chain)",
        ),
    ] {
        let (findings, root) = (Findings::default(), read(text).unwrap());
        let locks = findings.item(&root, &shape).section().unwrap().get("locks");
        for entry in locks.map(Item::entries).into_iter().flatten() {
            drop(entry.value.texts());
        }
        let said: Vec<_> = findings.sorted().iter().map(|it| it.line("x")).collect();
        assert_eq!(said, [expected], "{text}");
    }
}

fn doors() -> Shape {
    let names = List::of(Form::NAME).not_empty(Empty::new(Code::Value, "name a door"));
    Kinds::told_by("kind")
        .with(
            "sluice",
            "A door for water.",
            Map::new().with(required("metres", "The width.", Shape::number(1, 9))),
        )
        .with(
            "gate",
            "A door for people.",
            Map::new().with(optional(
                "beside",
                "What it is beside.",
                Shape::OneOrList(Form::NAME, names),
            )),
        )
        .into()
}

fn door(text: &str) -> (Option<&'static str>, String) {
    let (shape, f) = (doors(), Findings::default());
    let root = crate::read(text).unwrap();
    let item = f.item(&root, &shape);
    let kind = item.kind();
    if let Some(section) = item.section() {
        match kind {
            Some("sluice") => drop(section.get("metres").and_then(Item::number)),
            Some("gate") => {
                let beside = section.get("beside");
                match beside.filter(|item| !item.node.is_text()) {
                    Some(list) => drop(list.texts()),
                    None => drop(beside.and_then(Item::text)),
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let said = f.sorted();
    let said: Vec<_> = said.into_iter().map(|one| one.message).collect();
    (kind, said.join("; "))
}

#[test]
fn maps_of_several_kinds_are_told_apart_by_a_word() {
    for (text, kind, says) in [
        ("{kind: sluice, metres: 3}", Some("sluice"), ""),
        ("{kind: gate, beside: wall}", Some("gate"), ""),
        ("{kind: gate, beside: [wall, tower]}", Some("gate"), ""),
        ("{kind: gate, beside: []}", Some("gate"), "name a door"),
        (
            "{kind: gate, metres: 3}",
            Some("gate"),
            "there is no field `metres` here",
        ),
        (
            "{kind: sluice}",
            Some("sluice"),
            "the field `metres` is missing here",
        ),
        ("{metres: 3}", None, "the field `kind` is missing here"),
        ("{kind: gat}", None, "`gat` is none of sluice, gate"),
    ] {
        assert_eq!(door(text), (kind, says.to_owned()), "{text}");
    }
    let schema = doors().schema();
    let constant = schema.pointer("/oneOf/1/properties/kind/const");
    assert_eq!(constant, Some(&"gate".into()));
    let page = doors().reference();
    assert!(
        page.contains("| `metres` | required with `kind: sluice` |"),
        "{page}"
    );
    assert!(page.contains("a name, or a list: a name"), "{page}");
    assert_eq!(
        doors().untaken(),
        [
            "(sluice).kind",
            "(sluice).metres",
            "(gate).kind",
            "(gate).beside"
        ]
    );
}
