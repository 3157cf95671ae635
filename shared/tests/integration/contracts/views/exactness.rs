//! I2 at every step: whatever members and publishers do in whatever order, the merge is the truth.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use kilowatch_shared::{
    checkpoint::Boundary,
    position::{PartitionId, StreamName},
    rollup::{Partial, RollupKey, RollupRow},
    views::{ApplyOutcome, Effects, Publication, PublishOutcome, PublishedShape, ReplacedWindows, UsageResult},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::subject::{
    Member, Subject, all_hours, boundary, cut, household, partition, partition_of, rollups, span, value,
};

const PARTITIONS: u32 = 2;
const MESSAGES: u64 = 40;
const STEPS: u32 = 60;
const SEEDS: u64 = 12;

pub async fn any_order_of_steps_keeps_the_seam_exact(subject: &Subject) {
    for seed in 0..SEEDS {
        let stream = StreamName::parse(&format!("seed-{seed}")).unwrap();
        World::new(subject, stream, seed).await.run().await;
    }
}

/// The logs, what was done with them, and the dice.
struct World<'a> {
    subject: &'a Subject,
    stream: StreamName,
    seed: u64,
    dice: ChaCha8Rng,
    /// One reading a message: a value in a window of a device. Late ones among them.
    logs: Vec<Vec<RollupRow>>,
    members: Vec<Member>,
    zombies: Vec<Member>,
    cuts: Vec<Vec<u64>>,
    ends: Vec<u64>,
    version: i64,
}

impl<'a> World<'a> {
    async fn new(subject: &'a Subject, stream: StreamName, seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut logs = Vec::new();
        let mut members = Vec::new();
        for number in 0..PARTITIONS {
            let message = |_| {
                // Both partitions have device b.
                let name = if dice.random_bool(0.3) { "b" } else { ["a", "c"][number as usize] };
                value(name, dice.random_range(0..5), dice.random_range(-10.0..10.0))
            };
            logs.push((0..MESSAGES).map(message).collect());
            members.push(subject.claim(&partition_of(&stream, number), 0).await);
        }
        let cuts = vec![vec![0]; logs.len()];
        Self { subject, stream, seed, dice, logs, members, zombies: Vec::new(), cuts, ends: vec![0; 2], version: 0 }
    }

    async fn run(mut self) {
        for step in 0..STEPS {
            let which = self.dice.random_range(0..self.logs.len());
            match self.dice.random_range(0..12) {
                0..=4 => self.apply(which).await,
                5 => self.cut_alone(which).await,
                6 => self.repeat_last(which).await,
                7 => self.move_to_another_member(which).await,
                8 => self.wake_a_zombie().await,
                9 => self.publish().await,
                10 => self.publish_late().await,
                _ => {
                    let views = &self.subject.views;
                    views.drop_seen_speed_rollups(&self.stream, self.subject.now).await.unwrap();
                }
            }
            self.check(step).await;
        }
    }

    /// Effects of `[from, to)` of a log, one entry a key.
    fn effects(&self, which: usize, from: u64, to: u64) -> Effects {
        let rows = partials(&self.logs[which][from as usize..to as usize]);
        rollups(rows.into_iter().map(|(key, partial)| RollupRow { key, partial }).collect())
    }

    async fn apply(&mut self, which: usize) {
        let from = self.members[which].applied;
        let to = (from + self.dice.random_range(1..6)).min(MESSAGES);
        let mut effects = self.effects(which, from, to);
        if self.dice.random_bool(0.3) && to > from {
            effects.cut = Some(cut(to));
            self.cuts[which].push(to);
        }
        self.members[which].apply(to, effects).await;
    }

    async fn cut_alone(&mut self, which: usize) {
        self.members[which].cut().await;
        self.cuts[which].push(self.members[which].applied);
    }

    async fn repeat_last(&mut self, which: usize) {
        let member = &self.members[which];
        let to = member.applied;
        let from = to.saturating_sub(2);
        if from == to {
            return;
        }
        let effects = self.effects(which, from, to);
        let again = span(from, to);
        let outcome = self.subject.views.apply(&member.partition, member.owner, again, &effects).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::AlreadyApplied, "seed {}", self.seed);
    }

    async fn move_to_another_member(&mut self, which: usize) {
        let next = self.subject.claim(&self.members[which].partition, 0).await;
        assert_eq!(next.applied, self.members[which].applied, "seed {}", self.seed);
        self.zombies.push(std::mem::replace(&mut self.members[which], next));
    }

    async fn wake_a_zombie(&mut self) {
        let Some(zombie) = self.zombies.pop() else { return };
        let mut effects = rollups(vec![value("b", 0, 1e6)]);
        effects.cut = Some(cut(zombie.applied + 1));
        let outcome = zombie.try_apply(zombie.applied + 1, &effects).await;
        assert_eq!(outcome, ApplyOutcome::NotOwner, "seed {}", self.seed);
    }

    /// Publishes up to a cut of each partition; all of it, or the windows that gained something.
    async fn publish(&mut self) {
        let ends: Vec<u64> = (0..self.logs.len()).map(|which| self.some_cut_from(which, self.ends[which])).collect();
        let replaces = if self.dice.random_bool(0.5) {
            ReplacedWindows::All
        } else {
            let gained = self.between(&self.ends.clone(), &ends);
            ReplacedWindows::Touched(
                partials(&gained).into_keys().map(|key| (key.device, key.window_secs, key.window_start)).collect(),
            )
        };
        let outcome = self.try_publish(&ends, replaces).await;
        assert_eq!(outcome, PublishOutcome::Published, "seed {}", self.seed);
        self.ends = ends;
        self.version += 1;
    }

    /// A publisher that read the boundary too early, or would take a partition back.
    async fn publish_late(&mut self) {
        if self.ends.iter().all(|end| *end == 0) {
            return;
        }
        let ends = vec![0; self.logs.len()];
        let outcome = self.try_publish(&ends, ReplacedWindows::All).await;
        assert!(matches!(outcome, PublishOutcome::Refused { .. }), "seed {}", self.seed);
    }

    async fn try_publish(&self, ends: &[u64], replaces: ReplacedWindows) -> PublishOutcome {
        let mut staged = partials(&self.between(&vec![0; ends.len()], ends));
        if let ReplacedWindows::Touched(windows) = &replaces {
            staged.retain(|key, _| windows.contains(&(key.device.clone(), key.window_secs, key.window_start)));
        }
        let rows: Vec<_> = staged.into_iter().map(|(key, partial)| RollupRow { key, partial }).collect();
        let publication = Publication {
            stream: self.stream.clone(),
            expected: self.boundary_at(self.version, &self.ends),
            next: self.boundary_at(self.version + 1, ends),
            stage: self.subject.stage(&self.stream, &rows).await,
            replaces,
            shape: PublishedShape::default(),
        };
        self.subject.views.publish(&publication).await.unwrap()
    }

    fn boundary_at(&self, version: i64, ends: &[u64]) -> Boundary {
        if version == 0 {
            return Boundary::default();
        }
        let ids: Vec<PartitionId> = self.members.iter().map(|member| member.partition.clone()).collect();
        boundary(version, &ids.iter().zip(ends.iter().copied()).collect::<Vec<_>>())
    }

    fn some_cut_from(&mut self, which: usize, least: u64) -> u64 {
        let possible: Vec<u64> = self.cuts[which].iter().copied().filter(|cut| *cut >= least).collect();
        possible[self.dice.random_range(0..possible.len())]
    }

    fn between(&self, from: &[u64], to: &[u64]) -> Vec<RollupRow> {
        let ends = from.iter().zip(to);
        self.logs.iter().zip(ends).flat_map(|(log, (from, to))| log[*from as usize..*to as usize].to_vec()).collect()
    }

    async fn check(&self, step: u32) {
        let applied: Vec<u64> = self.members.iter().map(|member| member.applied).collect();
        let truth = windows(&self.between(&[0, 0], &applied));
        let batch = windows(&self.between(&[0, 0], &self.ends));
        let UsageResult { windows: merged, boundary } =
            self.subject.views.usage(&all_hours(&self.stream)).await.unwrap();
        let place = format!("seed {} step {step}", self.seed);
        assert_eq!(boundary, self.boundary_at(self.version, &self.ends), "{place}");
        assert_eq!(
            merged.iter().map(|w| w.start).collect::<Vec<_>>(),
            truth.keys().copied().collect::<Vec<_>>(),
            "{place}"
        );
        for window in merged {
            let expected = truth[&window.start];
            let found = window.partial;
            assert_eq!((found.count, found.min, found.max), (expected.count, expected.min, expected.max), "{place}");
            assert!((found.sum - expected.sum).abs() <= 1e-9 * 400.0, "{place}: {found:?} is not {expected:?}");
            assert!((found.sum_squares - expected.sum_squares).abs() <= 1e-9 * 4000.0, "{place}");
            let seen = batch.get(&window.start).map_or(0, |partial| partial.count);
            assert_eq!(window.batch_count, seen, "{place}");
        }
    }
}

fn partials(rows: &[RollupRow]) -> BTreeMap<RollupKey, Partial> {
    let mut partials = BTreeMap::new();
    for row in rows {
        partials.entry(row.key.clone()).or_insert(Partial::EMPTY).merge(&row.partial);
    }
    partials
}

fn windows(rows: &[RollupRow]) -> BTreeMap<DateTime<Utc>, Partial> {
    let mut windows = BTreeMap::new();
    for row in rows {
        windows.entry(row.key.window_start).or_insert(Partial::EMPTY).merge(&row.partial);
    }
    windows
}

pub async fn a_reader_never_sees_half_a_publication(subject: &Subject) {
    const ROUNDS: u64 = 30;
    let stream = household();
    let mut member = subject.claim(&partition(0), 0).await;
    for offset in 0..ROUNDS {
        member.apply(offset + 1, rollups(vec![value("m", (offset % 7) as i64, 1.0)])).await;
        member.cut().await;
    }
    let rows_below = |end: u64| -> Vec<RollupRow> {
        let rows: Vec<_> = (0..end).map(|offset| value("m", (offset % 7) as i64, 1.0)).collect();
        partials(&rows).into_iter().map(|(key, partial)| RollupRow { key, partial }).collect()
    };
    let views = subject.views.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reader = tokio::spawn(async move {
        let mut states = BTreeSet::new();
        while !*stopped.borrow() {
            let usage = views.usage(&all_hours(&household())).await.unwrap();
            let total: u64 = usage.windows.iter().map(|window| window.partial.count).sum();
            let of_batch: u64 = usage.windows.iter().map(|window| window.batch_count).sum();
            let end = usage.boundary.partitions.values().next().map_or(0, |end| end.get());
            assert_eq!(total, ROUNDS);
            assert_eq!(of_batch, end, "rows and boundary are of two states");
            states.insert(end);
        }
        states.len()
    });
    for end in 1..=ROUNDS {
        let outcome = subject.publish_all(&stream, end as i64, &[(&partition(0), end)], &rows_below(end)).await;
        assert_eq!(outcome, PublishOutcome::Published);
        subject.views.drop_seen_speed_rollups(&stream, subject.now).await.unwrap();
    }
    stop.send(true).unwrap();
    assert!(reader.await.unwrap() > 0);
}
