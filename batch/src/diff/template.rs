//! SQL text for columns that are known only at run time.

/// Names that a placeholder stands for.
pub(super) struct Names<'a> {
    /// The placeholder's word: `{word}` becomes the name inside double quotes, `{word literal}` inside single ones.
    pub word: &'static str,
    /// The names, whatever they hold.
    pub names: &'a [&'a str],
}

/// A template in which a line that holds a placeholder stands once for each of its names.
pub(super) fn fill(template: &str, placeholders: &[Names<'_>]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leaves_neither_kind_of_quotes() {
        let names = [Names { word: "value", names: &["a\"'b", "c"] }];
        let sql = fill("-- why\nSELECT\n  \"{value}\" = '{value literal}'\nFROM x", &names);
        assert_eq!(sql, "SELECT\n  \"a\"\"'b\" = 'a\"''b'\n  \"c\" = 'c'\nFROM x\n");
    }
}
