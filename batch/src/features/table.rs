//! Rows to learn from, column by column.

use chrono::{DateTime, Utc};

/// Features and the target of rows in the order of their time.
///
/// Features have single precision: it is what forests are grown in, and half the memory for years of minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureTable {
    /// The features' names.
    pub names: Vec<String>,
    /// One column per name, all as long as `times`; every value is finite.
    pub columns: Vec<Vec<f32>>,
    /// What is to be predicted, in its unit.
    pub target: Vec<f64>,
    /// The instant of each row, ascending.
    pub times: Vec<DateTime<Utc>>,
}

impl FeatureTable {
    /// An empty table.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let columns = vec![Vec::new(); names.len()];
        Self { names, columns, target: Vec::new(), times: Vec::new() }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// One row's features.
    #[must_use]
    pub fn row(&self, at: usize) -> Vec<f32> {
        self.columns.iter().map(|column| column[at]).collect()
    }

    /// Index of a feature by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[f32]> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(&self.columns[at])
    }
}
