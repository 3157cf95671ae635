//! The crate's `.sql` files, written for the names of one profile.

use kilowatch_shared::stream::StreamProfile;

/// Names that a placeholder stands for.
pub(crate) struct Names<'a> {
    /// The placeholder's word: `{word}` becomes the name inside double quotes, `{word literal}` inside single ones.
    pub(crate) word: &'static str,
    /// The names, whatever they hold.
    pub(crate) names: &'a [&'a str],
}

/// A template in which a line that holds a placeholder stands once for each of its names.
pub(crate) fn fill(template: &str, placeholders: &[Names<'_>]) -> String {
    let mut sql = String::with_capacity(template.len() * 4);
    for line in template.lines().filter(|line| !line.starts_with("--")) {
        let Some(held) = placeholders.iter().find(|held| line.contains(&format!("{{{}", held.word))) else {
            sql.push_str(line);
            sql.push('\n');
            continue;
        };
        for name in held.names {
            let quoted = line
                .replace(&format!("{{{} literal}}", held.word), &name.replace('\'', "''"))
                .replace(&format!("{{{}}}", held.word), &name.replace('"', "\"\""));
            sql.push_str(&quoted);
            sql.push('\n');
        }
    }
    sql
}

/// A query for a profile: a line that names `{measure}`, `{tag}` or `{rollup_tag}` stands once for each of the
/// profile's, and `{window_secs}` is the window's length. Names are quoted as SQL wants it, whatever they hold.
pub(crate) fn for_profile(template: &str, profile: &StreamProfile, window_secs: u32) -> String {
    let measures: Vec<&str> = profile.measures.iter().map(|measure| measure.name.as_str()).collect();
    let (tags, rollup_tags): (Vec<&str>, Vec<&str>) =
        (profile.tags.iter().map(String::as_str).collect(), profile.rollup_tags.iter().map(String::as_str).collect());
    let placeholders = [
        Names { word: "measure", names: &measures },
        Names { word: "tag", names: &tags },
        Names { word: "rollup_tag", names: &rollup_tags },
        Names { word: "window_secs", names: &[&window_secs.to_string()] },
    ];
    fill(template, &placeholders)
}

/// The query for the devices from one to another, where its line names `{first_device}` and `{last_device}`; without them
/// for all, and without the line.
pub(crate) fn for_devices(query: &str, devices: Option<(&str, &str)>) -> String {
    let mut sql = String::with_capacity(query.len());
    for line in query.lines() {
        match devices {
            _ if !line.contains("{first_device}") => sql.push_str(line),
            None => continue,
            Some((first, last)) => {
                // One piece after the other, for an id may itself look like a placeholder.
                let quoted = |id: &str| id.replace('\'', "''");
                let (before, rest) = line.split_once("{first_device}").unwrap_or((line, ""));
                let (between, after) = rest.split_once("{last_device}").unwrap_or((rest, ""));
                sql.extend([before, &quoted(first), between, &quoted(last), after]);
            }
        }
        sql.push('\n');
    }
    sql
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::{position::StreamName, stream::StreamRegistry};

    use super::*;

    #[test]
    fn a_name_leaves_neither_kind_of_quotes() {
        let names = [Names { word: "value", names: &["a\"'b", "c"] }];
        let sql = fill("-- why\nSELECT\n  \"{value}\" = '{value literal}'\nFROM x", &names);
        assert_eq!(sql, "SELECT\n  \"a\"\"'b\" = 'a\"''b'\n  \"c\" = 'c'\nFROM x\n");
    }

    #[test]
    fn a_device_cannot_leave_its_quotes_and_without_one_there_is_no_line() {
        let query = "SELECT 1\nWHERE TRUE\n  AND device_id >= '{first_device}' AND device_id <= '{last_device}'\n";
        assert_eq!(for_devices(query, None), "SELECT 1\nWHERE TRUE\n");
        let sql = for_devices(query, Some(("a' OR 1", "{last_device}")));
        assert!(sql.ends_with("device_id >= 'a'' OR 1' AND device_id <= '{last_device}'\n"), "{sql}");
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let registry = StreamRegistry::built_in().unwrap();
        let mut profile = registry.find(&StreamName::parse("household").unwrap()).unwrap().clone();
        profile.measures.truncate(2);
        profile.measures[0].name = "a\" FROM x; --".to_owned();
        let sql = for_profile("SELECT\n    \"{measure}\",\n    \"{tag}\",\n    {window_secs}\n", &profile, 3600);
        assert_eq!(sql, "SELECT\n    \"a\"\" FROM x; --\",\n    \"reactive_power\",\n    3600\n");
    }
}
