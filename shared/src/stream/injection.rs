//! What a stream's simulator injects: how much of it, how long and how large. It stands in the profile, so that whoever
//! tunes a detector of that profile finds written down what it has to find.

use serde::{Deserialize, Serialize};

/// Largest share of readings that may be injected: beyond a half, what is injected is the usual.
pub const MAX_INJECTED_SHARE: f64 = 0.5;

/// Longest mean length of an episode in readings: a day of seconds.
const MAX_MEAN_READINGS: f64 = 86_400.0;

/// How far the shares of the kinds may be from one: they are written with two or three decimals.
const SHARE_TOLERANCE: f64 = 0.001;

/// How much is injected, and of which kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectionConfig {
    /// Share of a device's live readings that lie in an injected episode, 0 to 0.5.
    pub share: f64,
    /// The same of the readings of the training set, 0 to 0.5. Default 0.
    #[serde(default)]
    pub training_share: f64,
    /// The kinds; the simulator of the stream knows what each one does to a reading.
    pub kinds: Vec<InjectedKind>,
}

/// A kind of anomaly that is injected in episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectedKind {
    /// The name that travels as ground truth; 1 to 64 of a-z, 0-9 and _.
    pub name: String,
    /// Episodes of this kind among all; those of all kinds add up to 1.
    pub episode_share: f64,
    /// Readings of the shortest episode, at least 1.
    pub least_readings: u32,
    /// Readings of an episode on average; the longest has four times as many.
    pub mean_readings: f64,
    /// Least and largest size, drawn evenly for each episode.
    pub size: [f64; 2],
    /// What the size counts, in words: `V above the usual`.
    pub size_unit: String,
}

impl InjectionConfig {
    /// What is wrong with it: key, value, fix.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, share) in [("share", self.share), ("training_share", self.training_share)] {
            if !(0.0..=MAX_INJECTED_SHARE).contains(&share) {
                problems.push(format!("injection.{key} = {share}: must be 0 to {MAX_INJECTED_SHARE}"));
            }
        }
        let together: f64 = self.kinds.iter().map(|kind| kind.episode_share).sum();
        if self.kinds.is_empty() {
            problems.push("injection.kinds: at least one is needed".to_owned());
        } else if (together - 1.0).abs() > SHARE_TOLERANCE {
            problems.push(format!("injection.kinds: the episode_share of all kinds add up to {together} and not to 1"));
        }
        for (at, kind) in self.kinds.iter().enumerate() {
            if self.kinds[..at].iter().any(|other| other.name == kind.name) {
                problems.push(format!("injection.kinds: `{}` is named twice", kind.name));
            }
            problems
                .extend(kind.problems().into_iter().map(|problem| format!("injection.kinds.{}: {problem}", kind.name)));
        }
        problems
    }
}

impl InjectedKind {
    fn problems(&self) -> Vec<String> {
        let Self { name, episode_share, least_readings: least, mean_readings: mean, size: [low, high], .. } = self;
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        require(
            (1..=64).contains(&name.len()) && name.bytes().all(known),
            format!("name = {name:?}: must be 1 to 64 of a-z, 0-9 and _"),
        );
        require(
            *episode_share > 0.0 && *episode_share <= 1.0,
            format!("episode_share = {episode_share}: must be over 0 and at most 1"),
        );
        require(*least >= 1, format!("least_readings = {least}: must be at least 1"));
        require(
            (f64::from(*least)..=MAX_MEAN_READINGS).contains(mean),
            format!("mean_readings = {mean}: must be least_readings ({least}) to {MAX_MEAN_READINGS}"),
        );
        require(
            *low >= 0.0 && low <= high && high.is_finite(),
            format!("size = [{low}, {high}]: must be two numbers from 0 on, the smaller one first"),
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surge() -> InjectedKind {
        InjectedKind {
            name: "surge".to_owned(),
            episode_share: 1.0,
            least_readings: 5,
            mean_readings: 20.0,
            size: [150.0, 300.0],
            size_unit: "kWh more".to_owned(),
        }
    }

    #[test]
    fn every_problem_is_named_with_its_kind_and_key() {
        let fine = InjectionConfig { share: 0.05, training_share: 0.0, kinds: vec![surge()] };
        assert_eq!(fine.problems(), Vec::<String>::new());
        let bad = InjectionConfig {
            share: 0.6,
            training_share: f64::NAN,
            kinds: vec![
                surge(),
                InjectedKind { name: "surge".to_owned(), mean_readings: 4.0, ..surge() },
                InjectedKind { name: "Leak".to_owned(), episode_share: 0.0, size: [3.0, 2.0], ..surge() },
            ],
        };
        let problems = bad.problems().join("\n");
        for part in [
            "injection.share = 0.6: must be 0 to 0.5",
            "injection.training_share = NaN",
            "add up to 2 and not to 1",
            "`surge` is named twice",
            "injection.kinds.surge: mean_readings = 4: must be least_readings (5)",
            "injection.kinds.Leak: name = \"Leak\"",
            "injection.kinds.Leak: episode_share = 0",
            "injection.kinds.Leak: size = [3, 2]",
        ] {
            assert!(problems.contains(part), "{part} is not in\n{problems}");
        }
    }
}
