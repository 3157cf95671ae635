//! Rows for people and programs, written as they come: a table page by page, CSV, JSON or Parquet, to standard output or
//! to what a path names.

use std::{
    io::{self, BufWriter, IsTerminal as _, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use arrow::{
    array::RecordBatch, compute::concat_batches, csv, datatypes::SchemaRef, json, util::pretty::pretty_format_batches,
};
use clap::{Args, ValueEnum};
use kilowatch_shared::wording::counted;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::target::Target;
use crate::exit::{ReaderGone, WrongUse};

/// Rows of a page: its columns are as wide as their widest value, so a page has to be held until it is full.
const PAGE_ROWS: usize = 1000;

/// A form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Lines and columns for people.
    Table,
    /// With a header line; a missing value is empty.
    Csv,
    /// One array of objects; a missing value is null.
    Json,
    /// One file, compressed.
    Parquet,
}

/// Where rows go, and how.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// The form [default: what the file's name ends in, else table].
    #[arg(long)]
    format: Option<RowFormat>,
    /// Writes to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl OutArgs {
    fn chosen(&self, json: bool) -> RowFormat {
        let of_name = self.output.as_ref().and_then(|path| match path.extension()?.to_str()? {
            "csv" => Some(RowFormat::Csv),
            "json" => Some(RowFormat::Json),
            "parquet" => Some(RowFormat::Parquet),
            _ => None,
        });
        let otherwise = if json { RowFormat::Json } else { RowFormat::Table };
        self.format.or(of_name).unwrap_or(otherwise)
    }
}

/// Rows on their way out.
pub struct RowsOut {
    writer: Writer,
    file: Option<(Target, PathBuf)>,
    reader_gone: Arc<AtomicBool>,
    rows: u64,
}

enum Writer {
    Table { sink: Sink, schema: SchemaRef, page: Vec<RecordBatch>, pages: u64 },
    Csv(Box<csv::Writer<Sink>>),
    Json(json::Writer<Sink, json::writer::JsonArray>),
    Parquet(Box<ArrowWriter<Sink>>),
}

impl RowsOut {
    /// Begins with the columns.
    ///
    /// # Errors
    /// A file that cannot be made, or bytes that would go to a terminal.
    pub fn begin(args: &OutArgs, json: bool, schema: SchemaRef) -> anyhow::Result<Self> {
        let format = args.chosen(json);
        if format == RowFormat::Parquet && args.output.is_none() && io::stdout().is_terminal() {
            return Err(WrongUse("Parquet is nothing for a terminal: name a file with --output".to_owned()).into());
        }
        let reader_gone = Arc::new(AtomicBool::new(false));
        let file =
            args.output.as_ref().map(|path| Ok::<_, anyhow::Error>((Target::open(path)?, path.clone()))).transpose()?;
        let raw: Box<dyn Write + Send> = match &file {
            Some((file, path)) => Box::new(file.writer().with_context(|| format!("writing {}", path.display()))?),
            None => Box::new(io::stdout()),
        };
        let sink = Sink { inner: BufWriter::new(raw), reader_gone: Arc::clone(&reader_gone) };
        let writer = match format {
            RowFormat::Table => Writer::Table { sink, schema, page: Vec::new(), pages: 0 },
            RowFormat::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(sink);
                // The header of an answer without rows.
                writer.write(&RecordBatch::new_empty(schema))?;
                Writer::Csv(Box::new(writer))
            }
            RowFormat::Json => Writer::Json(json::WriterBuilder::new().with_explicit_nulls(true).build(sink)),
            RowFormat::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                Writer::Parquet(Box::new(ArrowWriter::try_new(sink, schema, Some(properties))?))
            }
        };
        Ok(Self { writer, file, reader_gone, rows: 0 })
    }

    /// Writes some rows.
    ///
    /// # Errors
    /// The disk is full, or nobody reads any more.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.rows += batch.num_rows() as u64;
        let written = match &mut self.writer {
            Writer::Table { page, .. } => {
                page.push(batch.clone());
                let waiting: usize = page.iter().map(RecordBatch::num_rows).sum();
                if waiting < PAGE_ROWS { Ok(()) } else { self.writer.write_pages(false) }
            }
            Writer::Csv(writer) => writer.write(batch).map_err(anyhow::Error::from),
            Writer::Json(writer) => writer.write(batch).map_err(anyhow::Error::from),
            Writer::Parquet(writer) => writer.write(batch).map_err(anyhow::Error::from),
        };
        self.told(written)
    }

    /// Writes what is still waiting; from now on the file is there.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(mut self) -> anyhow::Result<()> {
        let rows = self.rows;
        let finished = self.writer.finish(rows);
        self.told(finished)?;
        if let Some((file, path)) = self.file {
            drop(self.writer);
            file.finish().with_context(|| format!("writing {}", path.display()))?;
            eprintln!("{} in {}", counted(rows, "row"), path.display());
        }
        Ok(())
    }

    /// A closed standard output is no failure, whatever a writer made of it.
    fn told(&self, written: anyhow::Result<()>) -> anyhow::Result<()> {
        if written.is_err() && self.reader_gone.load(Ordering::Relaxed) {
            return Err(ReaderGone.into());
        }
        let place =
            self.file.as_ref().map_or_else(|| "standard output".to_owned(), |(_, path)| path.display().to_string());
        written.with_context(|| format!("writing {place}"))
    }
}

impl Writer {
    /// Writes the pages that are full, or all that waits.
    fn write_pages(&mut self, all: bool) -> anyhow::Result<()> {
        let Self::Table { sink, schema, page, pages } = self else { return Ok(()) };
        let mut waiting = concat_batches(schema, page.iter())?;
        page.clear();
        while waiting.num_rows() >= PAGE_ROWS || (all && (waiting.num_rows() > 0 || *pages == 0)) {
            let rows = waiting.num_rows().min(PAGE_ROWS);
            writeln!(sink, "{}", pretty_format_batches(&[waiting.slice(0, rows)])?)?;
            *pages += 1;
            waiting = waiting.slice(rows, waiting.num_rows() - rows);
        }
        page.push(waiting);
        Ok(())
    }

    fn finish(&mut self, rows: u64) -> anyhow::Result<()> {
        self.write_pages(true)?;
        match self {
            Self::Table { sink, .. } => {
                writeln!(sink, "{}", counted(rows, "row"))?;
                sink.flush()?;
            }
            // Every batch is flushed.
            Self::Csv(_) => {}
            Self::Json(writer) => {
                writer.finish()?;
                writer.get_mut().write_all(b"\n")?;
                writer.get_mut().flush()?;
            }
            Self::Parquet(writer) => {
                writer.finish()?;
                writer.inner_mut().flush()?;
            }
        }
        Ok(())
    }
}

/// Bytes on their way out. The writers of some forms keep an error's text and lose its kind, so it is noted here.
struct Sink {
    inner: BufWriter<Box<dyn Write + Send>>,
    reader_gone: Arc<AtomicBool>,
}

impl Sink {
    fn noted<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.reader_gone.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.noted(flushed)
    }
}
