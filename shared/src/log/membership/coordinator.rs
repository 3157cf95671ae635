//! Groups inside one process: for the embedded log, which has no other members, and for tests, which have.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Change, Membership, Release};
use crate::{checkpoint::SourcePartition, log::LogError, position::Offset};

/// Groups by their name and topic.
#[derive(Debug, Clone, Default)]
pub(in crate::log) struct Coordinator {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    groups: Mutex<BTreeMap<GroupKey, Group>>,
    changed: Notify,
}

type GroupKey = (String, String);

#[derive(Debug, Default)]
struct Group {
    partitions: Vec<SourcePartition>,
    /// Why it answers nobody, if it does not.
    silent: Option<String>,
    /// Who has which partition.
    held: BTreeMap<SourcePartition, Held>,
    members: BTreeMap<u64, Member>,
    next_member: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    by: u64,
    revoked: bool,
}

#[derive(Debug, Default)]
struct Member {
    events: VecDeque<Event>,
    /// Taken for dead until it hears of it.
    expelled: bool,
    /// Whether it heard from the group since it joined.
    answered: bool,
}

#[derive(Debug)]
enum Event {
    Assigned(Vec<SourcePartition>),
    Revoked(Vec<SourcePartition>),
    Lost(Vec<SourcePartition>),
    Waiting(String),
}

#[derive(Debug)]
struct InProcess {
    shared: Arc<Shared>,
    key: GroupKey,
    id: u64,
}

impl Coordinator {
    /// Joins a group of readers of these partitions.
    pub(in crate::log) fn join(
        &self,
        group: &str,
        topic: &str,
        partitions: Vec<SourcePartition>,
    ) -> Box<dyn Membership> {
        let key = (group.to_owned(), topic.to_owned());
        let id = self.shared.change(&key, |group| {
            group.partitions = partitions;
            let id = group.next_member;
            group.next_member += 1;
            let waiting = group.silent.clone().map(Event::Waiting);
            group.members.insert(id, Member { events: waiting.into_iter().collect(), ..Member::default() });
            id
        });
        Box::new(InProcess { shared: Arc::clone(&self.shared), key, id })
    }

    /// The topic has these partitions now.
    pub(in crate::log) fn grow(&self, topic: &str, partitions: &[SourcePartition]) {
        for key in self.keys_of(topic) {
            self.shared.change(&key, |group| partitions.clone_into(&mut group.partitions));
        }
    }

    /// Takes the first member of each group of the topic for dead, although it is not.
    pub(in crate::log) fn expel_first(&self, topic: &str) {
        for key in self.keys_of(topic) {
            self.shared.change(&key, Group::expel_first);
        }
    }

    /// The groups of the topic answer nobody, for this reason, or answer again.
    pub(in crate::log) fn silence(&self, topic: &str, reason: Option<&str>) {
        for key in self.keys_of(topic) {
            self.shared.change(&key, |group| group.silence(reason));
        }
    }

    fn keys_of(&self, topic: &str) -> Vec<GroupKey> {
        self.shared.lock().keys().filter(|(_, of)| of == topic).cloned().collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupKey, Group>> {
        // Every change below is complete before the lock is released.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, key: &GroupKey, change: impl FnOnce(&mut Group) -> T) -> T {
        let mut groups = self.lock();
        let group = groups.entry(key.clone()).or_default();
        let changed = change(group);
        group.balance();
        if group.members.is_empty() {
            groups.remove(key);
        }
        drop(groups);
        self.changed.notify_waiters();
        changed
    }
}

impl Group {
    /// Revokes what members hold beyond their share, and gives away what nobody holds.
    fn balance(&mut self) {
        if self.silent.is_some() {
            return;
        }
        let mut members: Vec<(u64, Vec<SourcePartition>)> = self
            .members
            .iter()
            .filter(|(_, member)| !member.expelled)
            .map(|(id, _)| (*id, self.held.iter().filter(|(_, held)| held.by == *id && !held.revoked)))
            .map(|(id, held)| (id, held.map(|(partition, _)| partition.clone()).collect()))
            .collect();
        let Some(share) = self.partitions.len().checked_div(members.len()) else { return };
        let one_more = self.partitions.len() - share * members.len();
        // Whoever holds most gets the odd ones: the fewest partitions move.
        members.sort_by_key(|(id, held)| (usize::MAX - held.len(), *id));
        let mut free: VecDeque<SourcePartition> =
            self.partitions.iter().filter(|partition| !self.held.contains_key(partition)).cloned().collect();
        for (place, (id, held)) in members.into_iter().enumerate() {
            let share = share + usize::from(place < one_more);
            let Some(member) = self.members.get_mut(&id) else { continue };
            if held.len() > share {
                let beyond = held[share..].to_vec();
                for partition in &beyond {
                    self.held.insert(partition.clone(), Held { by: id, revoked: true });
                }
                member.events.push_back(Event::Revoked(beyond));
            }
            let more: Vec<SourcePartition> = free.drain(..free.len().min(share.saturating_sub(held.len()))).collect();
            if !more.is_empty() || !member.answered {
                member.answered = true;
                self.held.extend(more.iter().map(|partition| (partition.clone(), Held { by: id, revoked: false })));
                member.events.push_back(Event::Assigned(more));
            }
        }
    }

    fn released(&mut self, member: u64, partitions: &[SourcePartition]) {
        self.held.retain(|partition, held| held.by != member || !held.revoked || !partitions.contains(partition));
    }

    fn expel_first(&mut self) {
        let Some((id, member)) = self.members.iter_mut().next() else { return };
        let lost = self.held.iter().filter(|(_, held)| held.by == *id).map(|(partition, _)| partition.clone());
        member.events = VecDeque::from([Event::Lost(lost.collect())]);
        member.expelled = true;
        self.held.retain(|_, held| held.by != *id);
    }

    fn silence(&mut self, reason: Option<&str>) {
        self.silent = reason.map(str::to_owned);
        for member in self.members.values_mut() {
            member.answered = false;
            member.events.extend(self.silent.clone().map(Event::Waiting));
        }
    }

    fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        self.held.retain(|_, held| held.by != member);
    }
}

impl InProcess {
    fn take(&self) -> Option<Change> {
        let event = self.shared.lock().get_mut(&self.key)?.members.get_mut(&self.id)?.events.pop_front()?;
        Some(match event {
            Event::Assigned(partitions) => Change::Assigned(partitions),
            Event::Waiting(reason) => Change::Waiting { reason },
            Event::Revoked(partitions) => {
                let (shared, key, id, released) =
                    (Arc::clone(&self.shared), self.key.clone(), self.id, partitions.clone());
                let release = Release::new(move || shared.change(&key, |group| group.released(id, &released)));
                Change::Revoked { partitions, release }
            }
            Event::Lost(partitions) => {
                self.shared.change(&self.key, |group| {
                    if let Some(member) = group.members.get_mut(&self.id) {
                        member.expelled = false;
                    }
                });
                Change::Lost(partitions)
            }
        })
    }
}

#[async_trait]
impl Membership for InProcess {
    async fn next(&mut self) -> Result<Change, LogError> {
        let shared = Arc::clone(&self.shared);
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change between the look and the wait is not slept through.
            changed.as_mut().enable();
            if let Some(change) = self.take() {
                return Ok(change);
            }
            changed.await;
        }
    }

    /// Nobody looks at groups of one process.
    fn tell(&self, _: &BTreeMap<SourcePartition, Offset>) {}

    async fn leave(self: Box<Self>) {}
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.shared.change(&self.key, |group| group.leave(self.id));
    }
}
