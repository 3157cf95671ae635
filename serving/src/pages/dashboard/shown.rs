//! Which windows the chart and its table show, and what else could be chosen.

use kilowatch_shared::stream::StreamProfile;

use crate::{
    calendar::Step,
    http::{ApiError, Params},
    pages::chrome::Choice,
    routes::usage::STORED_WINDOWS_SHOWN,
};

const HOUR_SECS: u32 = 3600;

/// The windows that are shown.
pub(super) struct Shown {
    pub step: Step,
}

impl Shown {
    /// What is asked for; else the finest windows of a stream that stores shorter ones than hours.
    pub fn choose(profile: &StreamProfile, params: &Params) -> Result<Self, ApiError> {
        let steps = steps(profile);
        let step = match params.text("window") {
            None => steps.first().copied(),
            Some(name) => steps.iter().copied().find(|step| step.name() == name),
        };
        step.map(|step| Self { step }).ok_or_else(|| {
            let names: Vec<_> = steps.iter().map(|step| step.name()).collect();
            let reason = format!("the dashboard shows {}", names.join(" or "));
            ApiError::invalid_parameter("window", params.text("window").unwrap_or(""), reason)
        })
    }

    /// The windows as choices; none where there is nothing to choose.
    pub fn windows(&self, profile: &StreamProfile) -> Vec<Choice> {
        let chosen = self.step.name();
        let choice = |step: &Step| {
            let shown = Self { step: *step };
            Choice::new(&step.name(), &format!("{}, {}", shown.label(), shown.span()), Some(&*chosen))
        };
        let choices: Vec<Choice> = steps(profile).iter().map(choice).collect();
        if choices.len() > 1 { choices } else { Vec::new() }
    }

    /// The measures as choices; none where there is nothing to choose.
    pub fn measures(&self, profile: &StreamProfile, chosen: &str) -> Vec<Choice> {
        if profile.measures.len() < 2 {
            return Vec::new();
        }
        profile.measures.iter().map(|measure| Choice::new(&measure.name, &measure.label, Some(chosen))).collect()
    }

    /// How long a window is, before the word mean.
    pub fn label(&self) -> String {
        match self.step {
            Step::Stored(secs) if secs.is_multiple_of(60) => format!("{}-minute", secs / 60),
            Step::Stored(secs) => format!("{secs}-second"),
            Step::Hour | Step::Day | Step::Month => "hourly".to_owned(),
        }
    }

    /// How far back they reach.
    pub fn span(&self) -> String {
        match self.step {
            Step::Stored(secs) => {
                format!("last {} hours", (i64::from(secs) * STORED_WINDOWS_SHOWN) / i64::from(HOUR_SECS))
            }
            Step::Hour | Step::Day | Step::Month => "last 7 days".to_owned(),
        }
    }
}

/// The finest stored windows and the hours.
fn steps(profile: &StreamProfile) -> Vec<Step> {
    let finest = profile.finest_window_secs();
    let fine = (finest < HOUR_SECS).then_some(Step::Stored(finest));
    fine.into_iter().chain([Step::Hour]).collect()
}
