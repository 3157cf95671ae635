//! Which (device, event time) were there before, in the lake or earlier in the file.

use std::collections::HashMap;

use kilowatch_shared::position::DeviceId;

use super::{LakeKeys, ParsedRows};

/// Devices get a number at first sight, so that a key is two integers.
#[derive(Debug, Default)]
pub(crate) struct DeviceNumbers {
    numbers: HashMap<DeviceId, u32>,
}

impl DeviceNumbers {
    /// The number of a device that was seen.
    pub(crate) fn find(&self, device: &DeviceId) -> Option<u32> {
        self.numbers.get(device).copied()
    }

    /// The number of a device.
    pub(crate) fn of(&mut self, device: &DeviceId) -> u32 {
        if let Some(number) = self.numbers.get(device) {
            return *number;
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(device.clone(), next);
        next
    }
}

/// Keys with the fingerprints of their rows. A device whose times ascend, as nearly every file has them, costs 16 bytes
/// a row; a row out of order costs a hash entry.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    devices: HashMap<u32, DeviceKeys>,
    keys: usize,
}

#[derive(Debug, Default)]
struct DeviceKeys {
    /// Ascending times, in pages, so that growing copies little.
    pages: Vec<Page>,
    strays: HashMap<i64, u64>,
}

#[derive(Debug)]
struct Page {
    times: Vec<i64>,
    prints: Vec<u64>,
}

/// 64 KiB of times: a binary search of 13 steps.
const PAGE_ROWS: usize = 8192;

impl KeySet {
    /// The fingerprint under a key.
    pub(crate) fn find(&self, device: u32, time: i64) -> Option<u64> {
        self.devices.get(&device)?.find(time)
    }

    /// Adds a key, unless it is there: then its fingerprint is the answer and stays.
    pub(crate) fn insert(&mut self, device: u32, time: i64, print: u64) -> Option<u64> {
        let known = self.devices.entry(device).or_default().insert(time, print);
        self.keys += usize::from(known.is_none());
        known
    }

    /// How many keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.keys
    }
}

impl DeviceKeys {
    fn find(&self, time: i64) -> Option<u64> {
        let after = self.pages.partition_point(|page| page.times.first().is_some_and(|first| *first <= time));
        let in_pages = after.checked_sub(1).and_then(|index| self.pages.get(index)).and_then(|page| {
            let at = page.times.binary_search(&time).ok()?;
            page.prints.get(at).copied()
        });
        in_pages.or_else(|| if self.strays.is_empty() { None } else { self.strays.get(&time).copied() })
    }

    fn insert(&mut self, time: i64, print: u64) -> Option<u64> {
        let newest = self.pages.last().and_then(|page| page.times.last());
        if newest.is_some_and(|newest| time <= *newest) {
            let found = self.find(time);
            if found.is_none() {
                self.strays.insert(time, print);
            }
            return found;
        }
        match self.pages.last_mut() {
            Some(page) if page.times.len() < PAGE_ROWS => {
                page.times.push(time);
                page.prints.push(print);
            }
            _ => {
                // The first page of a device grows as it needs; a device with many rows gets whole pages.
                let room = if self.pages.is_empty() { 0 } else { PAGE_ROWS };
                let (mut times, mut prints) = (Vec::with_capacity(room), Vec::with_capacity(room));
                times.push(time);
                prints.push(print);
                self.pages.push(Page { times, prints });
            }
        }
        None
    }
}

/// A row that repeats an earlier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    /// Its index among the parsed rows.
    pub index: usize,
    /// Whether it says what the earlier row says.
    pub identical: bool,
    /// Whether the earlier row is in the same file.
    pub within_file: bool,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a row that repeats an earlier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is left out; the earlier row counts.
    Skipped,
    /// It goes into the lake, and counts in the place of the lake's row.
    Replaces,
    /// It is in the lake, superseded, and counts again in the place of the row that does now.
    CountsAgain,
}

/// The rows of `rows` whose key was there before: in the file, which learns all of them, or in the lake. All are to be
/// skipped.
pub(crate) fn find_repeats(
    rows: &ParsedRows,
    numbers: &mut DeviceNumbers,
    file: &mut KeySet,
    lake: &LakeKeys,
) -> Vec<Repeat> {
    let device_of: Vec<u32> = rows.device_names.iter().map(|device| numbers.of(device)).collect();
    let repeat = |index, identical, within_file| Repeat { index, identical, within_file, fate: Fate::Skipped };
    let mut repeats = Vec::new();
    for (index, ((time, device), print)) in rows.times.iter().zip(&rows.devices).zip(&rows.prints).enumerate() {
        let Some(device) = device_of.get(*device as usize) else { continue };
        if let Some(earlier) = file.insert(*device, *time, *print) {
            repeats.push(repeat(index, earlier == *print, true));
        } else if let Some(earlier) = lake.find(*device, *time) {
            repeats.push(repeat(index, earlier == *print, false));
        }
    }
    repeats
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_many_pages_are_found_again() {
        let mut keys = KeySet::default();
        for time in 0..30_000 {
            assert_eq!(keys.insert(0, time * 60, time.cast_unsigned()), None);
        }
        assert_eq!((keys.find(0, 29_999 * 60), keys.find(0, 61), keys.find(1, 60)), (Some(29_999), None, None));
        assert_eq!(keys.insert(0, 8192 * 60, 7), Some(8192));
    }

    proptest! {
        #[test]
        fn a_key_set_answers_like_a_map(keys in prop::collection::vec((0_u32..3, 0_i64..200, any::<u64>()), 0..400)) {
            let mut set = KeySet::default();
            let mut map = HashMap::new();
            for (device, time, print) in keys {
                let known = map.get(&(device, time)).copied();
                prop_assert_eq!(set.find(device, time), known);
                prop_assert_eq!(set.insert(device, time, print), known);
                map.entry((device, time)).or_insert(print);
                prop_assert_eq!(set.len(), map.len());
            }
        }
    }
}
