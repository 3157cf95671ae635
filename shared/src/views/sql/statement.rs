//! What a session is asked to run: SQL text from this crate alone, and values that are bound.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, Utc};

/// A value for a parameter, with its type even where it is null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Option<String>),
    /// A whole number.
    Int(Option<i64>),
    /// A floating-point number, kept bit by bit.
    Real(Option<f64>),
    /// An instant, in whole microseconds.
    Time(Option<DateTime<Utc>>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

/// A statement with its parameters `$1`, `$2`, ...
///
/// Text comes in as `&'static str` only, so nothing that a user wrote can become SQL.
#[derive(Debug, Clone)]
pub struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

impl Statement {
    /// A statement that names its parameters itself.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new() }
    }

    /// The value of the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Goes on with `text`.
    pub fn push(&mut self, text: &'static str) {
        self.text.to_mut().push_str(text);
    }

    /// Goes on with `text`, a new parameter and its value.
    pub fn push_bind(&mut self, text: &'static str, value: impl Into<Value>) {
        self.values.push(value.into());
        let number = self.values.len().to_string();
        let whole = self.text.to_mut();
        whole.push_str(text);
        whole.push('$');
        whole.push_str(&number);
    }

    /// Binds a value whose place in the text follows, and gives its number for [`Self::push_number`].
    pub fn bound(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    /// Appends text and the number of a value that is bound already.
    pub fn push_number(&mut self, text: &'static str, number: usize) {
        let whole = self.text.to_mut();
        whole.push_str(text);
        whole.push('$');
        whole.push_str(&number.to_string());
    }

    /// Text and values, for a driver.
    #[must_use]
    pub fn into_parts(self) -> (Cow<'static, str>, Vec<Value>) {
        (self.text, self.values)
    }
}

/// A statement over many rows of one shape. A driver puts its way of listing rows in the place of `{rows}` and may run
/// the statement once for a part of the rows after the other.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub(in crate::views) before: &'static str,
    pub(in crate::views) after: &'static str,
    /// What stands before and after for Postgres, if other words.
    pub(in crate::views) on_postgres: Option<(&'static str, &'static str)>,
    /// What every row begins with.
    pub(in crate::views) common: Vec<Value>,
    /// What the rows differ in.
    pub(in crate::views) rows: Vec<Vec<Value>>,
}

impl Bulk {
    /// `text` holds `{rows}` where a list of rows stands; all rows have the same types in the same order.
    #[must_use]
    pub fn new(text: &'static str, rows: Vec<Vec<Value>>) -> Self {
        let (before, after) = around_rows(text);
        Self { before, after, on_postgres: None, common: Vec::new(), rows }
    }

    /// The same in other words, where the planner of Postgres goes astray with the first ones.
    #[must_use]
    pub fn on_postgres(self, text: &'static str) -> Self {
        Self { on_postgres: Some(around_rows(text)), ..self }
    }

    /// Each row begins with these values and goes on with its own: to send a stream's name with each of thousands of rows
    /// costs both sides more than the numbers in them.
    #[must_use]
    pub fn each_begins_with(self, common: Vec<Value>) -> Self {
        Self { common, ..self }
    }
}

fn around_rows(text: &'static str) -> (&'static str, &'static str) {
    text.split_once("{rows}").unwrap_or((text, ""))
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}

impl From<u64> for Value {
    /// Counts stay far below 2^63; one beyond is kept as the greatest that SQL has.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(Some(value))
    }
}

impl From<Option<f64>> for Value {
    fn from(value: Option<f64>) -> Self {
        Self::Real(value)
    }
}

impl From<DateTime<Utc>> for Value {
    /// Microseconds are what Postgres and the lake keep, so SQLite keeps no more.
    fn from(value: DateTime<Utc>) -> Self {
        Self::Time(Some(value.trunc_subsecs(6)))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Option<&[u8]>> for Value {
    fn from(value: Option<&[u8]>) -> Self {
        Self::Bytes(value.map(<[u8]>::to_vec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pushed_value_gets_the_next_number() {
        let mut statement = Statement::new("SELECT 1 FROM t WHERE a = $1").bind(1_i64);
        statement.push_bind(" AND b = ", "x");
        statement.push(" ORDER BY a");
        let (text, values) = statement.into_parts();
        assert_eq!(text, "SELECT 1 FROM t WHERE a = $1 AND b = $2 ORDER BY a");
        assert_eq!(values, [Value::Int(Some(1)), Value::Text(Some("x".to_owned()))]);
    }
}
