//! Which windows a request asks for.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use kilowatch_shared::{
    position::DeviceId,
    stream::{Measure, StreamProfile},
    views::UsageQuery,
};

use crate::{
    calendar::Step,
    http::{ApiError, ErrorCode, Params, parse_offset, parse_time},
};

/// Parameters of the route.
pub(super) const KNOWN: [&str; 10] =
    ["stream", "device_id", "group", "measure", "from", "until", "window", "utc_offset", "limit", "cursor"];

const HOUR_SECS: u32 = 3600;

/// Stored windows of a range that is not said: two hours of 30-second windows, as many as a chart shows apart.
pub(crate) const STORED_WINDOWS_SHOWN: i64 = 240;

/// One page of windows: `[from, until)` on window bounds.
#[derive(Debug, Clone)]
pub(crate) struct UsageRequest {
    pub device: Option<DeviceId>,
    pub group: Option<String>,
    pub measure: Measure,
    pub step: Step,
    pub offset: FixedOffset,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Where the next page begins, if the range goes on.
    pub next: Option<DateTime<Utc>>,
}

impl UsageRequest {
    /// Reads the parameters. Without a range it is the last windows up to `data_now`.
    pub fn parse(params: &Params, profile: &StreamProfile, data_now: DateTime<Utc>) -> Result<Self, ApiError> {
        let measure = find_measure(profile, params.text("measure"))?;
        let step = find_step(profile, params)?;
        let offset = params.get("utc_offset", parse_offset)?.unwrap_or_else(|| profile_offset(profile));
        let (from, until) = (params.time("from", offset)?, params.time("until", offset)?);
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            return Err(ApiError::invalid_parameter("from", params.text("from").unwrap_or(""), "must be before until"));
        }
        // An open range ends with the data, or one window after a beginning that lies beyond the data.
        let newest = from.map_or(data_now, |from| from.max(data_now));
        let until = ceil(step, until.unwrap_or(newest + TimeDelta::seconds(1)), offset);
        let from = step.floor(from.unwrap_or(until - default_range(step)), offset);
        let from = match params.get("cursor", |text| parse_time(text, offset))? {
            Some(cursor) if cursor >= until => {
                let given = params.text("cursor").unwrap_or("");
                let rule = "must be the next_cursor of an answer to the same parameters";
                return Err(ApiError::invalid_parameter("cursor", given, rule));
            }
            // Without `from` the range moves on with the data, maybe past where this page would begin.
            Some(cursor) => step.floor(cursor, offset).max(from),
            None => from,
        };
        let (default, most) = page_limits(step);
        let page_end = step.advance(from, params.limit(default, most)?, offset);
        Ok(Self {
            device: params.device()?,
            group: find_group(profile, params)?,
            measure: measure.clone(),
            step,
            offset,
            from,
            until: until.min(page_end),
            next: (page_end < until).then_some(page_end),
        })
    }

    /// The stored windows that this page is summed from.
    pub fn stored(&self, profile: &StreamProfile) -> Result<UsageQuery, ApiError> {
        let window_secs = self.stored_window_secs(profile)?;
        let span_secs = (self.until - self.from).num_seconds();
        Ok(UsageQuery {
            stream: profile.name.clone(),
            device: self.device.clone(),
            group: self.group.clone(),
            measure: self.measure.name.clone(),
            window_secs,
            from: self.from,
            until: self.until,
            limit: u32::try_from(span_secs / i64::from(window_secs) + 1).unwrap_or(u32::MAX),
        })
    }

    /// The longest stored window, up to the hour, on whose bounds local midnights lie.
    fn stored_window_secs(&self, profile: &StreamProfile) -> Result<u32, ApiError> {
        let shift_secs = match self.step {
            Step::Stored(secs) => return Ok(secs),
            Step::Hour => 0,
            Step::Day | Step::Month => self.offset.local_minus_utc().unsigned_abs(),
        };
        let fits = |window: &u32| HOUR_SECS.is_multiple_of(*window) && shift_secs.is_multiple_of(*window);
        profile.rollup_windows_secs.iter().copied().filter(fits).max().ok_or_else(|| {
            ApiError::invalid_parameter(
                "utc_offset",
                &self.offset.to_string(),
                format!(
                    "local days begin inside the stored windows of {} s; use whole hours, or add a shorter window to \
                     rollup_windows_secs of the stream",
                    profile.finest_window_secs()
                ),
            )
        })
    }
}

/// The zone in which the stream's people live.
pub(crate) fn profile_offset(profile: &StreamProfile) -> FixedOffset {
    FixedOffset::east_opt(profile.utc_offset_minutes * 60).unwrap_or_else(|| chrono::Offset::fix(&Utc))
}

/// The measure of that name; without a name the forecast's target, else the first one.
fn find_measure<'a>(profile: &'a StreamProfile, name: Option<&str>) -> Result<&'a Measure, ApiError> {
    let asked = name.or_else(|| profile.forecast.as_ref().map(|forecast| forecast.target.as_str()));
    let found = match asked {
        Some(name) => profile.measures.iter().find(|measure| measure.name == name),
        None => profile.measures.first(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = profile.measures.iter().map(|measure| measure.name.as_str()).collect();
        ApiError::new(
            ErrorCode::UnknownMeasure,
            format!("stream {} has no measure {:?}", profile.name, crate::http::shorten(asked.unwrap_or(""))),
        )
        .hint(format!("measures of this stream: {}", known.join(", ")))
    })
}

/// The window that is asked for; hours if none is.
fn find_step(profile: &StreamProfile, params: &Params) -> Result<Step, ApiError> {
    let Some(name) = params.text("window") else { return Ok(Step::Hour) };
    Step::parse(name, &profile.rollup_windows_secs).ok_or_else(|| {
        let stored: Vec<String> = profile.rollup_windows_secs.iter().map(|secs| format!("{secs}s")).collect();
        ApiError::invalid_parameter("window", name, format!("must be hour, day, month, or {}", stored.join(" or ")))
    })
}

/// The group of the roll-up tags that is asked for.
fn find_group(profile: &StreamProfile, params: &Params) -> Result<Option<String>, ApiError> {
    let group = params.text("group");
    if let Some(group) = group
        && profile.rollup_tags.is_empty()
    {
        let reason = format!("stream {} has no roll-up tags; leave it out", profile.name);
        return Err(ApiError::invalid_parameter("group", group, reason));
    }
    Ok(group.map(str::to_owned))
}

fn ceil(step: Step, instant: DateTime<Utc>, offset: FixedOffset) -> DateTime<Utc> {
    let floor = step.floor(instant, offset);
    if floor == instant { floor } else { step.advance(floor, 1, offset) }
}

fn default_range(step: Step) -> TimeDelta {
    match step {
        Step::Hour => TimeDelta::days(7),
        Step::Day => TimeDelta::days(31),
        Step::Month => TimeDelta::days(365),
        Step::Stored(secs) => TimeDelta::seconds(i64::from(secs) * STORED_WINDOWS_SHOWN),
    }
}

/// Windows of a page, usual and most: a page reads at most some 45,000 stored hours.
const fn page_limits(step: Step) -> (u32, u32) {
    match step {
        Step::Hour | Step::Stored(_) => (1000, 5000),
        Step::Day => (400, 1000),
        Step::Month => (60, 60),
    }
}

#[cfg(test)]
mod tests {
    use kilowatch_shared::stream::StreamRegistry;

    use super::*;

    fn parse(query: &str) -> Result<UsageRequest, ApiError> {
        let registry = StreamRegistry::built_in().unwrap();
        let profile = registry.find(&"household".parse().unwrap()).unwrap().clone();
        let params = Params::parse(query, &KNOWN)?;
        UsageRequest::parse(&params, &profile, "2007-03-10T12:30:00Z".parse().unwrap()).and_then(|request| {
            request.stored(&profile)?;
            Ok(request)
        })
    }

    #[test]
    fn the_default_is_the_last_week_including_the_hour_that_runs() {
        let request = parse("").unwrap();
        assert_eq!(request.until.to_rfc3339(), "2007-03-10T13:00:00+00:00");
        assert_eq!(request.from.to_rfc3339(), "2007-03-03T13:00:00+00:00");
        assert_eq!(request.measure.name, "active_power");
    }

    #[test]
    fn a_range_is_widened_to_whole_local_days() {
        let request = parse("window=day&from=2007-01-01T10:00:00Z&until=2007-01-03T10:00:00Z").unwrap();
        assert_eq!(request.from.to_rfc3339(), "2006-12-31T23:00:00+00:00");
        assert_eq!(request.until.to_rfc3339(), "2007-01-03T23:00:00+00:00");
    }

    #[test]
    fn a_page_ends_where_the_next_one_begins() {
        let first = parse("from=2007-01-01&until=2007-01-02&limit=10").unwrap();
        assert_eq!(first.next, Some(first.until));
        let cursor = crate::http::timestamp::text(&first.until);
        let second = parse(&format!("from=2007-01-01&until=2007-01-02&limit=24&cursor={cursor}")).unwrap();
        assert_eq!((second.from, second.next), (first.until, None));
    }

    #[test]
    fn a_cursor_beyond_the_range_is_named_as_what_is_wrong() {
        let error = parse("from=2007-01-01&until=2007-01-02&cursor=2007-02-01T00:00:00Z").unwrap_err();
        assert!(error.public_message("").starts_with("cursor = "), "{}", error.public_message(""));
    }

    #[test]
    fn a_range_that_begins_after_the_data_is_empty_and_no_mistake() {
        let request = parse("from=2031-01-01T00:00:00Z").unwrap();
        assert_eq!((request.until - request.from).num_hours(), 1);
        assert!(parse("from=2007-01-02&until=2007-01-02").is_err());
    }

    #[test]
    fn an_offset_inside_the_stored_windows_is_refused_for_days_only() {
        assert!(parse("window=hour&utc_offset=%2B05:30").is_ok());
        let error = parse("window=day&utc_offset=%2B05:30").unwrap_err();
        assert!(error.public_message("").contains("3600 s"), "{}", error.public_message(""));
    }
}
