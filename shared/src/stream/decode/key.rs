//! Several fields as one device's name.

use std::borrow::Cow;

/// What joins the parts of a key.
const SEPARATOR: char = '/';

/// The name of a device that several fields name together: `Building A` and `4` are `Building A/4`. A separator or
/// percent sign inside a part is written as a URL writes it, so that no two devices share a name; the only part of a key
/// stays as it is.
#[must_use]
pub fn joined_key<'a>(parts: impl ExactSizeIterator<Item = &'a str>) -> String {
    let alone = parts.len() == 1;
    let mut name = String::new();
    for (at, part) in parts.enumerate() {
        if at > 0 {
            name.push(SEPARATOR);
        }
        name.push_str(&if alone { Cow::Borrowed(part) } else { escaped(part) });
    }
    name
}

fn escaped(part: &str) -> Cow<'_, str> {
    if part.contains([SEPARATOR, '%']) {
        Cow::Owned(part.replace('%', "%25").replace(SEPARATOR, "%2F"))
    } else {
        Cow::Borrowed(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_devices_share_a_name() {
        let name = |parts: [&'static str; 2]| joined_key(parts.into_iter());
        assert_eq!(name(["Building A", "4"]), "Building A/4");
        assert_ne!(name(["A/1", "2"]), name(["A", "1/2"]));
        assert_ne!(name(["A%2F1", "2"]), name(["A/1", "2"]));
        assert_eq!(joined_key(["a/b%"].into_iter()), "a/b%");
    }
}
