//! Files in the UCI format of given sizes: the whole rows of one simulated household that fit.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use tokio_util::sync::CancellationToken;

use super::{BenchmarkError, BenchmarkRequest, engine::without, process};

/// Lines between two looks at whether to stop.
const LINES_A_LOOK: u64 = 4096;

/// A row of the simulator has 56 bytes or more on average; a little more is simulated than the largest file takes.
const LEAST_MEAN_ROW_BYTES: u64 = 50;

/// First minute of the household: that of the real file's first whole year.
const FROM: &str = "2007-01-01T00:00:00Z";

/// A file that is measured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InputFile {
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its rows, without the header.
    pub rows: u64,
    /// The hours that they fall into.
    pub hours: u64,
    /// Measures of these hours that have a value: one partial each.
    pub partials: u64,
}

/// Has the simulator write the largest file, and cuts the others from it.
pub(super) async fn make_files(request: &BenchmarkRequest) -> Result<Vec<InputFile>, BenchmarkError> {
    let largest = request.sizes_bytes.last().copied().unwrap_or(0);
    let whole = request.scratch.join("household.csv");
    let mut simulate = Command::new(&request.binary);
    without(&mut simulate, request);
    simulate.current_dir(&request.scratch);
    simulate.args(["--data-dir", "unused", "simulate", "--stream", "household", "--to", "csv", "--from", FROM]);
    simulate.arg("--file").arg(&whole).args(["--seed", &request.seed.to_string()]);
    simulate.args(["--count", &(largest / LEAST_MEAN_ROW_BYTES + 1).to_string()]);
    match process::run(&mut simulate, &request.scratch, request.timeout, &request.stop).await? {
        process::Ended::Well(_) => {}
        process::Ended::NotFound => {
            return Err(BenchmarkError::NoData { reason: format!("{} is not there", request.binary.display()) });
        }
        process::Ended::Badly(reason) => return Err(BenchmarkError::NoData { reason }),
    }
    let mut files = Vec::new();
    for bytes in &request.sizes_bytes {
        let to = request.scratch.join(format!("household-{bytes}.csv"));
        files.push(cut(&whole, &to, *bytes, &request.stop)?);
    }
    std::fs::remove_file(&whole).map_err(BenchmarkError::at(&whole))?;
    Ok(files)
}

/// Copies the header and as many whole rows as `most_bytes` hold.
fn cut(from: &Path, to: &Path, most_bytes: u64, stop: &CancellationToken) -> Result<InputFile, BenchmarkError> {
    let mut source = BufReader::new(File::open(from).map_err(BenchmarkError::at(from))?);
    let mut target = BufWriter::new(File::create(to).map_err(BenchmarkError::at(to))?);
    let mut file = InputFile { path: to.to_owned(), bytes: 0, rows: 0, hours: 0, partials: 0 };
    let (mut line, mut lines) = (Vec::new(), 0_u64);
    let (mut last_hour, mut valued) = (Vec::new(), Measures::default());
    loop {
        if lines.is_multiple_of(LINES_A_LOOK) && stop.is_cancelled() {
            return Err(BenchmarkError::Stopped);
        }
        line.clear();
        let read = source.read_until(b'\n', &mut line).map_err(BenchmarkError::at(from))? as u64;
        if read == 0 || file.bytes + read > most_bytes {
            break;
        }
        target.write_all(&line).map_err(BenchmarkError::at(to))?;
        file.bytes += read;
        lines += 1;
        if lines == 1 {
            continue;
        }
        let hour = hour_of(&line);
        if hour != last_hour {
            file.hours += 1;
            file.partials += std::mem::take(&mut valued).count();
            last_hour.clear();
            last_hour.extend_from_slice(hour);
        }
        valued.add(&line);
    }
    file.partials += valued.count();
    target.flush().map_err(BenchmarkError::at(to))?;
    file.rows = lines.saturating_sub(1);
    if file.rows == 0 {
        return Err(BenchmarkError::NoData { reason: format!("{most_bytes} bytes hold no row") });
    }
    Ok(file)
}

/// The measures that have a value in some row of an hour.
#[derive(Debug, Default)]
struct Measures(BTreeSet<usize>);

impl Measures {
    /// Those of a row; the first two fields are its time, and what is missing is empty or a question mark.
    fn add(&mut self, line: &[u8]) {
        let fields = line.trim_ascii_end().split(|byte| *byte == b';').enumerate().skip(2);
        self.0.extend(fields.filter(|(_, field)| !matches!(field, [] | [b'?'])).map(|(number, _)| number));
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A row up to its minutes: `1/1/2007;01`.
fn hour_of(line: &[u8]) -> &[u8] {
    line.iter().position(|byte| *byte == b':').map_or(line, |colon| &line[..colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_whole_rows_up_to_its_size_and_knows_its_hours() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        let rows = ["1/1/2007;00:58:00;1;?\r\n", "1/1/2007;00:59:00;1;2\r\n", "1/1/2007;01:00:00;?;3\r\n"];
        std::fs::write(&from, format!("Date;Time;X;Y\r\n{}", rows.concat())).unwrap();
        let (all, stop) = (15 + 3 * 23, CancellationToken::new());
        for (most, rows, hours, partials) in [(all, 3, 2, 3), (all - 1, 2, 1, 2), (1000, 3, 2, 3)] {
            let file = cut(&from, &to, most, &stop).unwrap();
            assert_eq!((file.rows, file.hours, file.partials), (rows, hours, partials), "{most} bytes");
            assert_eq!(file.bytes, std::fs::metadata(&to).unwrap().len());
        }
        assert!(matches!(cut(&from, &to, 20, &stop), Err(BenchmarkError::NoData { .. })));
        stop.cancel();
        assert!(matches!(cut(&from, &to, all, &stop), Err(BenchmarkError::Stopped)));
    }
}
