//! What goes on beside the members: publications, and views that come back from a backup.

use std::{path::PathBuf, sync::Arc};

use kilowatch_shared::{
    checkpoint::Boundary,
    lake::{LakeTable, SegmentLake},
    position::DeviceId,
    rollup::{RollupKey, RollupRow},
    views::{Publication, PublishOutcome, PublishedShape, ReplacedWindows, StageId, sqlite::SqliteViews},
};
use uuid::Uuid;

use super::{World, doors};
use crate::{
    doubles::FaultyViews,
    stream::{MEASURE, WINDOW_SECS, epoch},
    truth::usage_of,
};

/// A publication that was begun: what it read, and what it will write.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) publication: Publication,
}

/// Views in a file, so that they can be backed up and come back.
#[derive(Debug)]
pub(super) struct Backups {
    pub(super) folder: tempfile::TempDir,
    pub(super) views: Arc<SqliteViews>,
    pub(super) generation: u32,
    pub(super) backup: Option<PathBuf>,
}

impl World {
    /// A batch job reads the boundary, then the lake at its newest version, and stages what it computed.
    pub async fn begin_job(&mut self) {
        let expected = self.views.boundary(&self.profile.name).await.unwrap();
        let snapshot = self.lake.snapshot(&self.profile.name, LakeTable::Readings).await.unwrap();
        let Some(version) = snapshot.version else { return };
        let stage = StageId(Uuid::new_v4());
        let rows: Vec<RollupRow> = usage_of(&self.lake.readings_at(&self.profile.name, version))
            .into_iter()
            .map(|((device, window_start), partial)| RollupRow {
                key: RollupKey {
                    device: DeviceId::parse(&device).unwrap(),
                    window_secs: WINDOW_SECS,
                    window_start,
                    measure: MEASURE.to_owned(),
                    group: String::new(),
                },
                partial,
            })
            .collect();
        self.views.stage_rollups(stage, &self.profile.name, &rows).await.unwrap();
        let next = Boundary { lake_version: Some(version), partitions: snapshot.closed };
        let publication = Publication {
            stream: self.profile.name.clone(),
            expected,
            next,
            stage,
            replaces: ReplacedWindows::All,
            shape: PublishedShape::default(),
        };
        self.jobs.push(Job { publication });
    }

    /// The oldest or the newest job that was begun publishes.
    pub async fn publish(&mut self, newest: bool) -> Option<PublishOutcome> {
        if self.jobs.is_empty() {
            return None;
        }
        let job = if newest { self.jobs.pop().unwrap() } else { self.jobs.remove(0) };
        Some(self.views.publish(&job.publication).await.unwrap())
    }

    pub async fn housekeep(&self) {
        self.views.drop_seen_speed_rollups(&self.profile.name, epoch()).await.unwrap();
    }

    /// Copies the views as they are.
    pub async fn back_up(&mut self) {
        let Some(backups) = &mut self.backups else { return };
        let path = backups.folder.path().join(format!("views-{}.db", backups.generation));
        let backup = backups.folder.path().join("backup.db");
        backups.views.close().await;
        std::fs::copy(&path, &backup).unwrap();
        backups.backup = Some(backup);
        let views = Arc::new(SqliteViews::open(&path).await.unwrap());
        self.use_views(views);
    }

    /// The views come back from the backup. Every member and job was stopped before: an operator does both at once.
    pub async fn restore_backup(&mut self) {
        let Some(backups) = &mut self.backups else { return };
        let Some(backup) = backups.backup.clone() else { return };
        backups.views.close().await;
        backups.generation += 1;
        let path = backups.folder.path().join(format!("views-{}.db", backups.generation));
        std::fs::copy(backup, &path).unwrap();
        let views = Arc::new(SqliteViews::open(&path).await.unwrap());
        self.use_views(views);
        self.jobs.clear();
        self.members = (0..2).map(|_| self.fresh_member()).collect();
    }

    fn use_views(&mut self, views: Arc<SqliteViews>) {
        if let Some(backups) = &mut self.backups {
            backups.views = views.clone();
        }
        self.views = views;
        self.faulty = Arc::new(FaultyViews::new(self.views.clone()));
        self.doors = doors(&self.log, &self.lake, &self.faulty, &self.views);
        self.truth = None;
        // Members hold connections to the views that were closed; theirs is the crash of a lost session.
        self.members = (0..2).map(|_| self.fresh_member()).collect();
    }
}
