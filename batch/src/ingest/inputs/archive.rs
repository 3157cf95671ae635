//! A ZIP archive, whose members are files of their own.

use std::{
    collections::VecDeque,
    fs::File,
    path::{Component, Path, PathBuf},
};

use zip::{ZipArchive, result::ZipError};

use super::{Input, Spool, is_hidden};
use crate::ingest::IngestError;

/// An archive whose members are taken one after another.
#[derive(Debug)]
pub(super) struct Archive {
    input: Input,
    zip: ZipArchive<File>,
    /// The members that are files, by number, with their names.
    members: VecDeque<(usize, PathBuf)>,
}

impl Archive {
    pub(super) fn open(mut input: Input) -> Result<Self, IngestError> {
        let file = File::open(&input.at).map_err(|source| IngestError::from_io(&input.name, source))?;
        let mut zip = ZipArchive::new(file).map_err(|error| damaged(&input.name, &error))?;
        let mut members = VecDeque::new();
        for number in 0..zip.len() {
            let member = zip.by_index_raw(number).map_err(|error| damaged(&input.name, &error))?;
            let name = PathBuf::from(String::from_utf8_lossy(member.name_raw()).into_owned());
            if !member.is_dir() && !is_hidden(&name) {
                // Below the archive, wherever the name points: it is for people, nothing is written there.
                let names = name.components().filter(|part| matches!(part, Component::Normal(_)));
                members.push_back((number, names.collect()));
            }
        }
        if members.is_empty() {
            return Err(IngestError::Damaged { path: input.name, reason: "the ZIP archive holds no file".to_owned() });
        }
        if let Some(origin) = &mut input.origin {
            origin.inputs = members.len();
        }
        Ok(Self { input, zip, members })
    }

    pub(super) fn has_more(&self) -> bool {
        !self.members.is_empty()
    }

    /// The next member, unpacked into the spool. There must be one.
    pub(super) fn next_member(&mut self, spool: &Spool) -> Result<Input, IngestError> {
        let (number, name) = self.members.pop_front().unwrap_or_default();
        let name = self.input.name.join(name);
        let mut member = self.zip.by_index(number).map_err(|error| damaged(&self.input.name, &error))?;
        // What the archive says of the size may be a lie, so the spool counts as well.
        spool.check_room(&name, member.size())?;
        Ok(Input { origin: self.input.origin.clone(), ..spool.copy(name, &mut member)? })
    }
}

fn damaged(path: &Path, error: &ZipError) -> IngestError {
    IngestError::Damaged { path: path.to_owned(), reason: format!("damaged ZIP archive: {error}") }
}
