//! Which fields of a payload mean something, and whether the profile says so without contradiction.

use std::collections::BTreeSet;

use super::profile::{RESERVED_COLUMNS, StreamProfile};

/// Most fields that together name a device.
const MAX_KEY_FIELDS: usize = 4;

/// The names that a payload's fields have by themselves: key, time, measures, tags. A field that is both part of the
/// key and a tag comes twice.
pub(super) fn names(profile: &StreamProfile) -> impl Iterator<Item = &String> {
    profile.key_fields.iter().chain([&profile.time_field]).chain(columns(profile))
}

fn columns(profile: &StreamProfile) -> impl Iterator<Item = &String> {
    profile.measures.iter().map(|measure| &measure.name).chain(&profile.tags)
}

/// One line a problem: key, value, fix.
pub(super) fn problems(profile: &StreamProfile) -> Vec<String> {
    let mut problems = Vec::new();
    let mut require = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let (keys, time) = (&profile.key_fields, &profile.time_field);
    require(
        (1..=MAX_KEY_FIELDS).contains(&keys.len()),
        format!("key_field: {} fields named; must be 1 to {MAX_KEY_FIELDS}", keys.len()),
    );
    require(
        !time.is_empty() && keys.iter().all(|key| !key.is_empty()),
        "key_field and time_field: both must name a field".to_owned(),
    );
    for (at, key) in keys.iter().enumerate() {
        require(key != time, format!("key_field and time_field: both are `{key}`; a field has one meaning"));
        require(!keys[..at].contains(key), format!("key_field: `{key}` is named twice"));
    }
    for measure in &profile.measures {
        let name = &measure.name;
        require(
            name != time && !keys.contains(name),
            format!("measures: `{name}` is the key or time field too; it is stored anyway, so leave it out here"),
        );
    }
    for tag in &profile.tags {
        // A part of a key is a tag of its own: roll-ups may be split by it, and SQL need not cut the device's name.
        require(
            tag != time && (keys.len() > 1 || !keys.contains(tag)),
            format!("tags: `{tag}` is the key or time field too; it is stored anyway, so leave it out here"),
        );
    }
    let mut seen = BTreeSet::new();
    for name in columns(profile) {
        require(
            is_column_name(name),
            format!(
                "`{name}`: a measure or tag is 1 to 63 of a-z, 0-9 and _, beginning with a letter; a field that \
                 the payload writes otherwise is read with aliases = {{ \"{name}\" = \"its_column\" }}"
            ),
        );
        require(
            !RESERVED_COLUMNS.contains(&name.as_str()),
            format!("`{name}`: the lake uses this column itself; choose another name, and an alias for the payload's"),
        );
        require(seen.insert(name), format!("`{name}`: named twice"));
    }
    let known: BTreeSet<&String> = names(profile).collect();
    for (alias, name) in &profile.aliases {
        require(
            known.contains(name),
            format!("aliases.{alias} = \"{name}\": is not the key or time field, a measure or a tag"),
        );
        require(!known.contains(alias), format!("aliases.{alias}: `{alias}` is a field of its own already"));
        require(!alias.is_empty(), "aliases: an empty name is no field".to_owned());
    }
    problems
}

fn is_column_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
