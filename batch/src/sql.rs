//! The crate's `.sql` files, written for one profile.

use kilowatch_shared::stream::StreamProfile;

/// A query for a profile: a line that names `{measure}`, `{tag}` or `{rollup_tag}` stands once for each of the
/// profile's, and `{window_secs}` is the window's length. Names are quoted as SQL wants it, whatever they hold.
pub(crate) fn for_profile(template: &str, profile: &StreamProfile, window_secs: u32) -> String {
    let mut sql = String::with_capacity(template.len() * 4);
    for line in template.lines().filter(|line| !line.starts_with("--")) {
        if line.contains("{measure}") {
            profile.measures.iter().for_each(|measure| push_line(&mut sql, line, "{measure}", &measure.name));
        } else if line.contains("{tag}") {
            profile.tags.iter().for_each(|tag| push_line(&mut sql, line, "{tag}", tag));
        } else if line.contains("{rollup_tag}") {
            profile.rollup_tags.iter().for_each(|tag| push_line(&mut sql, line, "{rollup_tag}", tag));
        } else {
            push_line(&mut sql, line, "{window_secs}", &window_secs.to_string());
        }
    }
    sql
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

fn push_line(sql: &mut String, line: &str, placeholder: &str, name: &str) {
    sql.push_str(&line.replace(placeholder, &name.replace('"', "\"\"")));
    sql.push('\n');
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::{position::StreamName, stream::StreamRegistry};

    use super::*;

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
