//! Whether an engine did the work: the rows of the Parquet that it left.

use std::{fs::File, path::Path};

use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};

/// Rows of a Parquet file, or of all in a folder, which is what Spark leaves.
pub(super) fn parquet_rows(path: &Path) -> Result<u64, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if !path.is_dir() {
        let reader = SerializedFileReader::new(File::open(path).map_err(|error| unreadable(&error))?);
        let rows = reader.map_err(|error| unreadable(&error))?.metadata().file_metadata().num_rows();
        return u64::try_from(rows).map_err(|error| unreadable(&error));
    }
    let mut rows = 0;
    for entry in std::fs::read_dir(path).map_err(|error| unreadable(&error))? {
        let part = entry.map_err(|error| unreadable(&error))?.path();
        if part.extension().is_some_and(|extension| extension == "parquet") {
            rows += parquet_rows(&part)?;
        }
    }
    Ok(rows)
}
