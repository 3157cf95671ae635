//! A check that a page is well formed, strict enough for templates of our own.

/// Elements that have no end tag.
const VOID: [&str; 6] = ["meta", "link", "input", "img", "br", "hr"];

/// Panics unless every element is closed in order and every id is there once.
pub fn assert_well_formed(html: &str) {
    assert!(html.starts_with("<!doctype html>"), "{html}");
    let mut open: Vec<&str> = Vec::new();
    let mut ids: Vec<&str> = Vec::new();
    for (at, _) in html.match_indices('<').skip(1) {
        let tag = &html[at + 1..at + html[at..].find('>').expect("a tag that does not end")];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order near: {}", &html[at.saturating_sub(200)..at + 20]);
        } else if !VOID.contains(&name) {
            open.push(name);
        }
        if let Some(id) = tag.split(" id=\"").nth(1) {
            let id = id.split('"').next().unwrap();
            assert!(!ids.contains(&id), "id {id:?} is there twice");
            ids.push(id);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    for reference in ["aria-labelledby=\"", "aria-describedby=\"", "for=\""] {
        for wanted in html.split(reference).skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' ')) {
            assert!(ids.contains(&wanted), "{reference}{wanted}\" points nowhere");
        }
    }
}
