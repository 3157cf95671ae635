//! Texts that come again and again, and the numbers that stand for them.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// Stands for a tag that is missing.
const NO_TEXT: u32 = u32::MAX;

/// Values and the numbers that stand for them.
#[derive(Debug, Clone)]
pub(super) struct Numbered<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

/// Texts of one tag; a tag has few different ones.
#[derive(Debug, Clone, Default)]
pub(super) struct TagColumn {
    texts: Numbered<Box<str>>,
    numbers: Vec<u32>,
    /// Neighbours mostly say the same.
    last: u32,
}

impl<T> Numbered<T> {
    /// The values by their numbers.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// No further value comes: what only finds the number of one is given back.
    pub(super) fn complete(&mut self) {
        self.numbers = HashMap::new();
    }
}

impl<T: Eq + Hash + Clone> Numbered<T> {
    /// The number of a value; one that is new is made and told.
    pub(super) fn number<Q>(&mut self, value: &Q, make: impl FnOnce(&Q) -> T, is_new: impl FnOnce()) -> u32
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        is_new();
        // More than 2^32 values do not come: a run has at most as many rows as a micro-batch.
        let number = u32::try_from(self.values.len()).unwrap_or(NO_TEXT);
        let value = make(value);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl TagColumn {
    /// A column that so many rows have nothing in.
    pub(super) fn missing_in(rows: usize) -> Self {
        Self { numbers: vec![NO_TEXT; rows], ..Self::default() }
    }

    /// The text of a row.
    pub(super) fn text(&self, row: usize) -> Option<&str> {
        self.texts.values.get(*self.numbers.get(row)? as usize).map(|text| &**text)
    }

    /// No further text comes.
    pub(super) fn complete(&mut self) {
        self.texts.complete();
        self.numbers.shrink_to_fit();
    }

    /// Adds a text, and gives the bytes of one that is new.
    pub(super) fn push(&mut self, text: Option<&str>) -> usize {
        let mut fresh = 0;
        let number = match text {
            None => NO_TEXT,
            Some(text) if self.texts.values.get(self.last as usize).is_some_and(|last| **last == *text) => self.last,
            Some(text) => self.texts.number(text, |text| text.into(), || fresh = text.len()),
        };
        if number != NO_TEXT {
            self.last = number;
        }
        self.numbers.push(number);
        fresh
    }
}
