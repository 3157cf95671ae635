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

fn push_line(sql: &mut String, line: &str, placeholder: &str, name: &str) {
    sql.push_str(&line.replace(placeholder, &name.replace('"', "\"\"")));
    sql.push('\n');
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::{position::StreamName, stream::StreamRegistry};

    use super::*;

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
