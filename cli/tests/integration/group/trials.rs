//! Which streams a fault befalls, how often, and with how many members at work.
//!
//! On every run of the tests a fault befalls one stream; the faults take different ones, so that each stream has its share.
//! In a soak every fault befalls all of them.

use std::path::Path;

use super::{
    cluster::{Cluster, meters, succeeds},
    member::Member,
    readings,
    servers::Addresses,
    training::Training,
};
use crate::{
    process::{kilowatch_of, own_binary, wait_until},
    rounds::is_soak,
};

/// The meters of these tests, whose three-sigma soon knows what is usual.
pub const METERS: &str = "members";

/// Set where every stream is to have its turn, though not for long.
const EVERY_STREAM: &str = "KILOWATCH_TEST_EVERY_STREAM";

/// The trials themselves, as `members/50/3 grid/5/1`: stream, rounds and members of each. For a soak in parts.
const TRIALS: &str = "KILOWATCH_TEST_TRIALS";

/// The partitions of a topic: one member or three can share them.
const PARTITIONS: u32 = 3;

/// What three-sigma takes for unusual among the meters.
const SIGMAS: f64 = 3.0;

/// A built-in stream, and what its learned detector needs.
struct System {
    stream: &'static str,
    training: Option<Training>,
}

const SYSTEMS: [System; 5] = [
    System {
        stream: "household",
        training: Some(Training { model: "isolation-forest", devices: 1, interval_secs: 60, rounds: 20 * 24 * 60 }),
    },
    System {
        stream: "power-plant",
        training: Some(Training { model: "isolation-forest", devices: 8, interval_secs: 900, rounds: 30 * 24 * 4 }),
    },
    System {
        stream: "campus",
        training: Some(Training { model: "k-means", devices: 15, interval_secs: 150, rounds: 5 * 24 * 24 }),
    },
    System { stream: "sensor", training: None },
    System { stream: "grid", training: None },
];

/// One stream under one fault.
#[derive(Debug, Clone)]
pub struct Trial {
    pub stream: &'static str,
    /// How often the fault comes.
    pub rounds: usize,
    /// How many members are at work.
    pub members: usize,
}

/// The trials of a fault. `stream` is the one of a short run, `rounds` are those of a short run and those of the meters in a
/// soak, `members` the numbers of members, of which a short run takes the first.
pub fn trials(stream: &'static str, rounds: (usize, usize), members: &[usize]) -> Vec<Trial> {
    if let Ok(given) = std::env::var(TRIALS) {
        return given.split_whitespace().map(Trial::parse).collect();
    }
    let (short, long) = rounds;
    let of = |stream, rounds, members: &[usize]| -> Vec<Trial> {
        members.iter().map(|members| Trial { stream, rounds, members: *members }).collect()
    };
    let first = &members[..1];
    let each = |members: &[usize]| SYSTEMS.iter().flat_map(|system| of(system.stream, short, members)).collect();
    match (is_soak(), std::env::var_os(EVERY_STREAM).is_some()) {
        (true, _) => [of(METERS, long, first), each(members)].concat(),
        (false, true) => each(first),
        (false, false) => of(stream, short, first),
    }
}

impl Trial {
    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split('/').collect();
        let [stream, rounds, members] = parts[..] else { panic!("{TRIALS}: `{text}` is not stream/rounds/members") };
        let known = SYSTEMS.iter().map(|system| system.stream).chain([METERS]).find(|known| *known == stream);
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{TRIALS}: `{text}` is no number"));
        Self {
            stream: known.unwrap_or_else(|| panic!("{TRIALS}: there is no stream `{stream}`")),
            rounds: number(rounds),
            members: number(members),
        }
    }

    /// The stream on the servers that tests share.
    pub async fn cluster(&self) -> Cluster {
        self.cluster_on(Addresses::shared()).await
    }

    /// The same on other servers.
    pub async fn cluster_on(&self, addresses: Addresses) -> Cluster {
        self.cluster_of(addresses, PARTITIONS).await
    }

    /// The same with another number of partitions.
    pub async fn cluster_of(&self, addresses: Addresses, partitions: u32) -> Cluster {
        self.cluster_by(own_binary(), addresses, &self.profile_of(own_binary(), partitions)).await
    }

    /// The stream as another build set it up: an old build rightly refuses a profile that names what it does not know, and
    /// models of a newer one.
    pub async fn cluster_of_build(&self, binary: &Path) -> Cluster {
        self.cluster_by(binary, Addresses::shared(), &self.profile_of(binary, PARTITIONS)).await
    }

    async fn cluster_by(&self, binary: &Path, addresses: Addresses, profile: &str) -> Cluster {
        println!("{self:?}");
        let cluster = Cluster::of(addresses, profile).await;
        if let Some(training) = self.system().and_then(|system| system.training) {
            tokio::task::block_in_place(|| training.learn(&cluster, binary, readings::start(0)));
        }
        cluster
    }

    fn profile_of(&self, binary: &Path, partitions: u32) -> String {
        match self.system() {
            Some(system) => replaced(&shown_by(binary, system.stream), "partitions = ", |_| partitions.to_string()),
            None => meters(partitions, SIGMAS),
        }
    }

    /// The profile of a build, with its detectors as they are and with detectors that judge otherwise.
    pub fn two_profiles(&self, binary: &Path) -> [String; 2] {
        let profile = self.profile_of(binary, PARTITIONS);
        let doubled = |secs: &str| (2 * secs.parse::<u64>().unwrap()).to_string();
        let changed = match self.system() {
            Some(_) => replaced(&profile, "cool_down_secs = ", doubled),
            None => meters(PARTITIONS, SIGMAS + 1.0),
        };
        [profile, changed]
    }

    /// That many, which share the partitions.
    pub async fn start_members(&self, cluster: &Cluster) -> Vec<Member> {
        let members = cluster.start_members(self.members);
        wait_until("every member has partitions", async || {
            let partitions = || members.iter().map(Member::partitions);
            partitions().sum::<usize>() == PARTITIONS as usize && partitions().all(|partitions| partitions > 0)
        })
        .await;
        members
    }

    fn system(&self) -> Option<&'static System> {
        SYSTEMS.iter().find(|system| system.stream == self.stream)
    }
}

/// The profile of a built-in stream as a build has it.
fn shown_by(binary: &Path, stream: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let shown = succeeds(&mut kilowatch_of(binary, &folder.path().join("data"), &["streams", "show", stream]));
    String::from_utf8(shown.stdout).unwrap()
}

/// The profile with other values in the lines of a key.
fn replaced(profile: &str, key: &str, value: impl Fn(&str) -> String) -> String {
    assert!(profile.lines().any(|line| line.starts_with(key)), "the profile has no `{key}`");
    let lines = profile.lines().map(|line| match line.strip_prefix(key) {
        Some(old) => format!("{key}{}\n", value(old)),
        None => format!("{line}\n"),
    });
    lines.collect()
}
