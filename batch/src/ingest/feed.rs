//! A file is read and parsed beside the job: one thread cuts blocks, others parse them, and the job takes them in order.

use std::sync::Arc;

use kilowatch_shared::stream::StreamProfile;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    BlockReader, IngestError, IngestRequest, InputFormat, ParsedRows, Progress,
    layout::TextLayout,
    open::{InputFile, Packing},
    parquet_input::ParquetInput,
    text::parse_block,
};
use crate::BatchError;

/// Parsed rows of a file, in file order. Dropping the feed stops the reading.
#[derive(Debug)]
pub(crate) struct Feed {
    blocks: mpsc::Receiver<Parsing>,
    reader: Option<JoinHandle<Result<(), IngestError>>>,
}

/// Rows, or the task that parses them.
#[derive(Debug)]
enum Parsing {
    Running(JoinHandle<ParsedRows>),
    Done(ParsedRows),
}

impl Feed {
    /// Begins to read. A header that does not fit is the first answer of [`Feed::next`].
    pub(crate) fn start(
        file: &InputFile,
        request: &IngestRequest,
        profile: &StreamProfile,
        progress: Arc<dyn Progress>,
    ) -> Self {
        // One block a core, besides the one that the job works on: 2 MiB of text and as much in columns each.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let (sender, blocks) = mpsc::channel(cores);
        let (file, request, profile) = (file.clone(), request.clone(), profile.clone());
        let reader = spawn_blocking(move || match file.packing {
            Packing::Parquet => read_parquet(&file, &request, &profile, progress, &sender),
            Packing::Plain | Packing::Gzip => read_text(&file, &request, &profile, progress, &sender),
        });
        Self { blocks, reader: Some(reader) }
    }

    /// The next rows, or `None` after the last ones.
    pub(crate) async fn next(&mut self) -> Result<Option<ParsedRows>, BatchError> {
        match self.blocks.recv().await {
            Some(Parsing::Done(rows)) => Ok(Some(rows)),
            Some(Parsing::Running(task)) => task.await.map(Some).map_err(|error| BatchError::stopped("ingest", &error)),
            None => match self.reader.take() {
                Some(reader) => {
                    Ok(reader.await.map_err(|error| BatchError::stopped("ingest", &error))?.map(|()| None)?)
                }
                None => Ok(None),
            },
        }
    }
}

fn read_text(
    file: &InputFile,
    request: &IngestRequest,
    profile: &StreamProfile,
    progress: Arc<dyn Progress>,
    blocks: &mpsc::Sender<Parsing>,
) -> Result<(), IngestError> {
    if request.format == InputFormat::Parquet {
        return Err(IngestError::BadRequest { reason: format!("{}: not a Parquet file", file.path.display()) });
    }
    let mut reader = BlockReader::new(file.text(progress)?, file.path.clone());
    let header = reader.header()?.ok_or_else(|| IngestError::Empty { path: file.path.clone() })?;
    let layout = Arc::new(TextLayout::of_header(&header, request, profile)?);
    while let Some(block) = reader.next_block()? {
        let layout = Arc::clone(&layout);
        let task = spawn_blocking(move || parse_block(&layout, &block));
        if blocks.blocking_send(Parsing::Running(task)).is_err() {
            break;
        }
    }
    Ok(())
}

fn read_parquet(
    file: &InputFile,
    request: &IngestRequest,
    profile: &StreamProfile,
    progress: Arc<dyn Progress>,
    blocks: &mpsc::Sender<Parsing>,
) -> Result<(), IngestError> {
    let mut input = ParquetInput::open(file, request, profile, progress)?;
    while let Some(rows) = input.next_rows()? {
        if blocks.blocking_send(Parsing::Done(rows)).is_err() {
            break;
        }
    }
    Ok(())
}
