//! Which column of a file holds what.

use kilowatch_shared::{
    position::DeviceId,
    stream::{StreamProfile, decode::joined_key},
};

use super::{IngestError, IngestRequest, InputFormat};

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing.
    Skip,
    /// The device.
    Device,
    /// A part of the device's name, by its place in it, and the tag that it is besides.
    Key { part: usize, tag: Option<usize> },
    /// The event time.
    Time,
    /// The date of a UCI file.
    Date,
    /// The time of day of a UCI file.
    Clock,
    /// A measure, by its index in the profile.
    Measure(usize),
    /// A tag, by its index in the profile.
    Tag(usize),
}

impl Slot {
    /// Whether it is the device, or a part of its name.
    pub(super) const fn names_device(&self) -> bool {
        matches!(self, Self::Device | Self::Key { .. })
    }
}

/// The device that the fields of a row name, if they name one as they should.
pub(super) fn named_device<'f>(fields: impl Iterator<Item = (Slot, &'f str)>, key_parts: usize) -> Option<DeviceId> {
    let mut key = vec![""; key_parts];
    for (slot, text) in fields {
        match slot {
            Slot::Device => return DeviceId::parse(text.trim()).ok(),
            Slot::Key { part, .. } => *key.get_mut(part)? = text.trim(),
            _ => {}
        }
    }
    if key.iter().any(|part| part.is_empty()) { None } else { DeviceId::parse(&joined_key(key.into_iter())).ok() }
}

/// The measures of a UCI file and what they are called here.
pub(crate) const UCI_MEASURES: [(&str, &str); 7] = [
    ("Global_active_power", "active_power"),
    ("Global_reactive_power", "reactive_power"),
    ("Voltage", "voltage"),
    ("Global_intensity", "current"),
    ("Sub_metering_1", "sub_metering_1"),
    ("Sub_metering_2", "sub_metering_2"),
    ("Sub_metering_3", "sub_metering_3"),
];
const UCI_DATE: &str = "Date";
const UCI_CLOCK: &str = "Time";

/// Whether the names are those of a UCI file, as far as nothing else was asked for.
pub(super) fn is_uci(found: &[String], request: &IngestRequest) -> bool {
    match request.format {
        InputFormat::Uci => true,
        InputFormat::Csv | InputFormat::Parquet => false,
        InputFormat::Auto => {
            request.columns.is_empty()
                && request.time_column.is_none()
                && [UCI_DATE, UCI_CLOCK].iter().all(|name| found.iter().any(|header| header == name))
        }
    }
}

/// What each column of a UCI file is for.
pub(super) fn resolve_uci(
    found: &[String],
    request: &IngestRequest,
    profile: &StreamProfile,
) -> Result<Vec<Slot>, IngestError> {
    let mut wanted = vec![(UCI_DATE, Slot::Date), (UCI_CLOCK, Slot::Clock)];
    for (header, name) in UCI_MEASURES {
        let index = profile.measure_index(name).ok_or_else(|| IngestError::BadRequest {
            reason: format!(
                "stream `{}` has no measure `{name}`, which a UCI file holds as {header}; \
                 name the columns with --columns and --time-column, or choose the stream `household`",
                profile.name
            ),
        })?;
        wanted.push((header, Slot::Measure(index)));
    }
    assign(found, &wanted, request)
}

/// What each column of another file is for.
pub(super) fn resolve(
    found: &[String],
    request: &IngestRequest,
    profile: &StreamProfile,
) -> Result<Vec<Slot>, IngestError> {
    let chosen = |name: &str| request.columns.iter().find(|choice| choice.name == name);
    let is_there = |header: &str| found.iter().any(|found| found == header);
    check_choices(request, profile)?;

    let mut wanted = vec![(request.time_column.as_deref().unwrap_or(&profile.time_field), Slot::Time)];
    match &request.device_column {
        Some(header) => wanted.push((header, Slot::Device)),
        None => wanted.extend(key_columns(profile).filter(|(header, _)| is_there(header))),
    }
    for (index, measure) in profile.measures.iter().enumerate() {
        match chosen(&measure.name) {
            Some(choice) => wanted.push((&choice.header, Slot::Measure(index))),
            // Who names columns names those that the file has; who names none expects all of them.
            None if request.columns.is_empty() || is_there(&measure.name) => {
                wanted.push((&measure.name, Slot::Measure(index)));
            }
            None => {}
        }
    }
    for (index, tag) in profile.tags.iter().enumerate() {
        if wanted.iter().any(|(_, slot)| matches!(slot, Slot::Key { tag: Some(taken), .. } if *taken == index)) {
            continue;
        }
        match chosen(tag) {
            Some(choice) => wanted.push((&choice.header, Slot::Tag(index))),
            None if is_there(tag) => wanted.push((tag, Slot::Tag(index))),
            None => {}
        }
    }
    if !wanted.iter().any(|(_, slot)| matches!(slot, Slot::Measure(_))) {
        return Err(IngestError::BadRequest {
            reason: format!("--columns names no measure of stream `{}`: {}", profile.name, names_of(profile)),
        });
    }
    assign(found, &wanted, request)
}

/// The columns that name the device: one, or the parts of its name.
fn key_columns(profile: &StreamProfile) -> impl Iterator<Item = (&str, Slot)> {
    let alone = profile.key_fields.len() == 1;
    profile.key_fields.iter().enumerate().map(move |(part, header)| {
        let tag = profile.tags.iter().position(|tag| tag == header);
        (header.as_str(), if alone { Slot::Device } else { Slot::Key { part, tag } })
    })
}

/// How many columns name the device together, all or none of them.
pub(super) fn key_parts(
    slots: &[Slot],
    profile: &StreamProfile,
    request: &IngestRequest,
) -> Result<usize, IngestError> {
    let found = slots.iter().filter(|slot| matches!(slot, Slot::Key { .. })).count();
    if found == 0 || found == profile.key_fields.len() {
        return Ok(found);
    }
    Err(IngestError::BadRequest {
        reason: format!(
            "{}: a device of stream `{}` is named by the columns {} together; add what is missing, or name one column \
             with --device-column",
            request.path.display(),
            profile.name,
            profile.key_fields.join(", ")
        ),
    })
}

fn check_choices(request: &IngestRequest, profile: &StreamProfile) -> Result<(), IngestError> {
    for (at, choice) in request.columns.iter().enumerate() {
        if profile.measure_index(&choice.name).is_none() && !profile.tags.contains(&choice.name) {
            return Err(IngestError::BadRequest {
                reason: format!(
                    "--columns: `{}` is neither a measure nor a tag of stream `{}`, which has {}",
                    choice.name,
                    profile.name,
                    names_of(profile)
                ),
            });
        }
        if request.columns[..at].iter().any(|earlier| earlier.name == choice.name) {
            return Err(IngestError::BadRequest { reason: format!("--columns names `{}` twice", choice.name) });
        }
    }
    Ok(())
}

fn names_of(profile: &StreamProfile) -> String {
    profile.measures.iter().map(|measure| measure.name.as_str()).chain(profile.tags.iter().map(String::as_str)).fold(
        String::new(),
        |mut text, name| {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(name);
            text
        },
    )
}

/// Gives every wanted column its slot; all that are missing are told at once.
fn assign(found: &[String], wanted: &[(&str, Slot)], request: &IngestRequest) -> Result<Vec<Slot>, IngestError> {
    let mut slots = vec![Slot::Skip; found.len()];
    let mut missing = Vec::new();
    for (header, slot) in wanted {
        let mut places = found.iter().enumerate().filter(|(_, name)| name == header).map(|(index, _)| index);
        match (places.next(), places.next()) {
            (None, _) => missing.push((*header).to_owned()),
            (Some(_), Some(_)) => {
                return Err(IngestError::BadRequest {
                    reason: format!("{}: two columns are called `{header}`", request.path.display()),
                });
            }
            (Some(index), None) => match slots.get_mut(index) {
                Some(free @ Slot::Skip) => *free = *slot,
                _ => {
                    return Err(IngestError::BadRequest {
                        reason: format!("column `{header}` is asked for as two things"),
                    });
                }
            },
        }
    }
    if missing.is_empty() {
        Ok(slots)
    } else {
        Err(IngestError::MissingColumns { path: request.path.clone(), missing, found: found.to_vec() })
    }
}
