//! What a kernel makes of one reading, and the contract of a kernel.

use crate::{
    anomaly::{Explanation, Severity},
    reading::Reading,
};

/// What a kernel makes of a reading. Score and explanation are asked for with the evidence, and only when somebody
/// alarms: nearly all readings are quiet.
#[derive(Debug, Clone, PartialEq)]
pub enum Assessment<E> {
    /// The reading has nothing that the kernel looks at.
    Unjudged,
    /// The kernel has not seen enough to judge by.
    WarmingUp {
        /// What it has seen.
        readings: u32,
        /// What it needs.
        needed: u32,
    },
    /// The reading was judged.
    Judged {
        /// How urgent it is; `None` is quiet.
        alarm: Option<Severity>,
        /// What score and explanation follow from.
        evidence: E,
    },
}

impl<E> Assessment<E> {
    /// The same assessment with other evidence.
    pub fn map<F>(self, evidence_of: impl FnOnce(E) -> F) -> Assessment<F> {
        match self {
            Self::Unjudged => Assessment::Unjudged,
            Self::WarmingUp { readings, needed } => Assessment::WarmingUp { readings, needed },
            Self::Judged { alarm, evidence } => Assessment::Judged { alarm, evidence: evidence_of(evidence) },
        }
    }
}

/// A score beside the one from which its kernel alarms. The scale is the kernel's own; more is more unusual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The score; always finite.
    pub value: f64,
    /// Where alarms begin.
    pub threshold: f64,
}

/// Judges the readings of a device, one after the other.
///
/// An assessment uses only readings before this one and the reading itself (no future leaks), and depends on nothing
/// but the kernel and the state: the same readings give the same bits on every machine, which leaves `+ - * / sqrt` and
/// comparisons, and no `exp`, `ln` or `sin` of the platform.
pub trait Kernel {
    /// What it remembers of a device. Serialised and read back, it judges on as if nothing had happened.
    type State: Default;

    /// What an assessment rests on.
    type Evidence;

    /// Judges a reading that is no duplicate and takes it into the state.
    fn assess(&self, state: &mut Self::State, reading: &Reading) -> Assessment<Self::Evidence>;

    /// The score of a judged reading.
    fn score(&self, evidence: &Self::Evidence) -> Score;

    /// Why a judged reading is as unusual as it is.
    fn explain(&self, evidence: &Self::Evidence) -> Explanation;
}
