//! Ownership of charter names: a file of the charter directory comes before any object, and an
//! older object before a younger one.
//!
//! The order depends only on what exists now, and on no memory of the daemon: a restart, a restored
//! data directory or another order of reading changes no owner. Because the API server dates each
//! object, a person who can only create objects cannot take over a name.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::{Object, Origin};

/// The owner of a charter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A file of the charter directory, or the broker itself.
    Directory,
    /// An object of the API server.
    Object(Origin),
}

/// Returns the owner of each name. An invalid object still owns its name: a charter that was just
/// broken is out of force, and no other charter takes its place.
#[must_use]
pub fn owners<'a>(
    directory: &BTreeSet<String>,
    objects: impl IntoIterator<Item = &'a Object>,
) -> BTreeMap<String, Holder> {
    let mut first: BTreeMap<&str, &Object> = BTreeMap::new();
    let age = |object: &'a Object| (object.created, &object.origin.uid);
    for object in objects {
        let holder = first.entry(object.origin.name.as_str()).or_insert(object);
        if age(object) < age(holder) {
            *holder = object;
        }
    }
    let of_objects = first.into_iter().map(|(name, object)| {
        let holder = Holder::Object(object.origin.clone());
        (name.to_owned(), holder)
    });
    let of_files = directory
        .iter()
        .map(|name| (name.clone(), Holder::Directory));
    // A later entry of the same name replaces an earlier one, so files win.
    of_objects.chain(of_files).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::object::Content;

    pub(crate) fn object(namespace: &str, name: &str, (created, uid): (i64, &str)) -> Object {
        Object {
            origin: Origin {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
            },
            created,
            generation: 1,
            version: "1".to_owned(),
            content: Content::Text("{}".into()),
            status: serde_json::Value::Null,
        }
    }

    fn holder(directory: &[&str], objects: &[Object]) -> String {
        let directory = directory.iter().map(|name| (*name).to_owned()).collect();
        match owners(&directory, objects).remove("a") {
            Some(Holder::Directory) => "directory".to_owned(),
            Some(Holder::Object(origin)) => origin.uid,
            None => "nobody".to_owned(),
        }
    }

    #[test]
    fn the_directory_comes_first_and_then_the_older_object_in_any_order() {
        let older = object("x", "a", (1, "u3"));
        let younger = object("y", "a", (2, "u1"));
        let twin = object("z", "a", (1, "u4"));
        let other = object("x", "b", (0, "u0"));
        let all = [older.clone(), younger.clone(), twin.clone(), other];
        let mut turned = all.clone();
        turned.reverse();
        for all in [all, turned] {
            assert_eq!(holder(&[], &all), "u3");
            assert_eq!(holder(&["a"], &all), "directory");
            assert_eq!(holder(&["b"], &all), "u3");
        }
        // When the first object is deleted, the next one gets the name.
        assert_eq!(holder(&[], &[younger.clone(), twin]), "u4");
        assert_eq!(holder(&[], &[younger]), "u1");
        assert_eq!(holder(&[], &[]), "nobody");
    }
}
