//! Everything in one place: a lake, views, two partitions, jobs and the server that is asked.

use std::{collections::BTreeMap, collections::BTreeSet, io::Write as _, sync::Arc};

use chrono::{DateTime, Utc};
use kilowatch_batch::{
    BatchDeps,
    ingest::{IngestRequest, NoProgress},
    jobs::{
        ingest::ingest,
        rollup::{RollupRequest, rollup},
        verify::{VerifyRequest, verify},
    },
};
use kilowatch_serving::{Application, NoSpeedHere, ServingConfig, ServingDeps};
use kilowatch_shared::{
    checkpoint::Boundary,
    clock::{FixedClock, SharedClock},
    lake::{delta::DeltaLake, store::LakeStore},
    position::DeviceId,
    stream::{StreamProfile, StreamRegistry},
    views::{self, SharedViews},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    live::{Arrival, LivePartition, PARTITIONS, device_of, site_of},
    truth::{Counted, ZOOMS, Zoom},
};

const PROFILE: &str = r#"
    name = "seam"
    description = "Meters of two sites"
    topic = "seam"
    partitions = 2
    key_field = "device_id"
    time_field = "timestamp"
    interval_secs = 60
    utc_offset_minutes = 330
    tags = ["site"]
    rollup_windows_secs = [900, 3600]
    rollup_tags = ["site"]
    measures = [
        { name = "power", unit = "kW", label = "Power" },
        { name = "voltage", unit = "V", label = "Voltage" },
    ]
"#;

/// Where the views are.
#[derive(Debug, Clone, Copy)]
pub enum Store {
    Sqlite,
    #[cfg(feature = "service-tests")]
    Postgres,
}

pub struct World {
    profile: StreamProfile,
    deps: BatchDeps,
    partitions: Vec<LivePartition>,
    /// Rows of files, with the version that brought them.
    filed: Vec<(i64, Counted)>,
    filed_keys: BTreeSet<(String, DateTime<Utc>)>,
    folder: TempDir,
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
    #[cfg(feature = "service-tests")]
    _schema: Option<crate::schema::Schema>,
}

impl World {
    pub async fn new(store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = StreamProfile::parse(PROFILE, "seam.toml").unwrap();
        #[cfg(feature = "service-tests")]
        let mut schema = None;
        let url = match store {
            Store::Sqlite => format!("sqlite:{}", folder.path().join("views.sqlite").display()),
            #[cfg(feature = "service-tests")]
            Store::Postgres => schema.insert(crate::schema::Schema::fresh().await).url.clone(),
        };
        let views: SharedViews = views::open(&url).await.unwrap();
        let clock: SharedClock = Arc::new(FixedClock("2026-03-01T00:00:00Z".parse().unwrap()));
        let lake_url = folder.path().join("lake").display().to_string();
        let lake = LakeStore::open(&lake_url, &BTreeMap::new()).unwrap();
        let lake = Arc::new(DeltaLake::new(lake, Arc::clone(&clock)));
        let deps = BatchDeps { lake, views: Arc::clone(&views), clock };
        let mut partitions = Vec::new();
        for number in 0..PARTITIONS {
            partitions.push(LivePartition::open(&views, &profile, number).await);
        }
        let (base, stop) = serve(&deps, &profile);
        Self {
            profile,
            deps,
            partitions,
            filed: Vec::new(),
            filed_keys: BTreeSet::new(),
            folder,
            base,
            client: reqwest::Client::new(),
            stop,
            #[cfg(feature = "service-tests")]
            _schema: schema,
        }
    }

    pub async fn apply(&mut self, partition: usize, readings: &[Arrival], cut: bool) {
        self.partitions[partition].apply(&self.deps.views, readings, cut).await;
    }

    pub async fn close(&mut self, partition: usize) {
        self.partitions[partition].close(&self.deps.lake).await;
    }

    pub async fn hand_over(&mut self, partition: usize) {
        self.partitions[partition].hand_over(&self.deps.views).await;
    }

    /// A file of devices that are live, too, at times that no live reading has.
    pub async fn ingest(&mut self, rows: &[Arrival]) {
        let path = self.folder.path().join(format!("{}.csv", self.filed.len()));
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "timestamp,device_id,site,power,voltage").unwrap();
        let mut brought = Vec::new();
        for (number, arrival) in rows.iter().enumerate() {
            let device = device_of(u32::try_from(number % PARTITIONS).unwrap(), arrival.device);
            let (at, site) = (arrival.at(true), site_of(arrival.device));
            if !self.filed_keys.insert((device.clone(), at)) {
                continue;
            }
            let power = arrival.kilowatts();
            let text = power.map(|power| power.to_string()).unwrap_or_default();
            writeln!(file, "{},{device},{site},{text},230", at.to_rfc3339()).unwrap();
            brought.extend(power.map(|power| Counted { device, site: site.to_owned(), at, power, published: true }));
        }
        drop(file);
        let meter = DeviceId::parse(IngestRequest::DEFAULT_DEVICE).unwrap();
        let request = IngestRequest::new(path, meter);
        let report = ingest(&self.deps, &self.profile, &request, Arc::new(NoProgress)).await;
        // A file without a row that is new is no file to ingest.
        let Ok(report) = report else { return assert!(brought.is_empty(), "{report:?}") };
        let Some(version) = report.lake_version else { return assert!(brought.is_empty(), "{report:?}") };
        self.filed.extend(brought.into_iter().map(|value| (version, value)));
    }

    pub async fn roll_up(&self, full: bool) {
        rollup(&self.deps, &self.profile, &RollupRequest { full, as_of: None }).await.unwrap();
    }

    pub async fn housekeep(&self) {
        self.deps.views.drop_seen_speed_rollups(&self.profile.name, self.deps.clock.now()).await.unwrap();
    }

    /// Brings everything through.
    pub async fn settle(&mut self) {
        for partition in 0..PARTITIONS {
            self.apply(partition, &[], true).await;
            self.close(partition).await;
        }
        self.roll_up(false).await;
    }

    /// What has to be served now.
    fn counted(&self, boundary: &Boundary) -> Vec<Counted> {
        let published = |version: i64| boundary.lake_version.is_some_and(|seen| version <= seen);
        let filed = self.filed.iter().filter(|(version, _)| published(*version)).map(|(_, value)| value.clone());
        let ends: Vec<_> = (0..PARTITIONS)
            .map(|number| {
                let of = boundary.partitions.iter().find(|(key, _)| key.partition as usize == number);
                of.map(|(_, end)| *end).unwrap_or_default()
            })
            .collect();
        let live = self.partitions.iter().zip(&ends).flat_map(|(partition, end)| {
            partition.applied.iter().filter(|row| !row.is_duplicate).filter_map(move |row| {
                Some(Counted {
                    device: row.reading.device.to_string(),
                    site: row.reading.tags[0].as_deref()?.to_owned(),
                    at: row.reading.event_time,
                    power: row.reading.measures[0]?,
                    published: row.offset < *end,
                })
            })
        });
        filed.chain(live).collect()
    }

    /// Fails unless every zoom level of everything shows the truth.
    pub async fn check(&self, when: &str) {
        let boundary = self.deps.views.boundary(&self.profile.name).await.unwrap();
        let truth = self.counted(&boundary);
        for zoom in ZOOMS {
            self.check_one(zoom, "", &truth, |_| true, when).await;
        }
        for zoom in [ZOOMS[0], ZOOMS[3]] {
            self.check_one(zoom, "&group=south", &truth, |value| value.site == "south", when).await;
            self.check_one(zoom, "&device_id=meter-1-0", &truth, |value| value.device == "meter-1-0", when).await;
        }
    }

    async fn check_one(&self, zoom: Zoom, of: &str, truth: &[Counted], is_of: impl Fn(&Counted) -> bool, when: &str) {
        let expected = zoom.windows(truth.iter().filter(|value| is_of(value)));
        let offset = zoom.utc_offset.replace('+', "%2B");
        let url = format!(
            "{}/api/usage?stream=seam&measure=power&window={}&utc_offset={offset}&from=2026-01-28T00:00:00Z\
             &until=2026-02-05T00:00:00Z{of}",
            self.base, zoom.window
        );
        let answer = self.client.get(&url).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        // A device that nobody has heard of yet has nothing to show.
        if status == 404 && expected.is_empty() {
            return;
        }
        assert_eq!((status, &body["next_cursor"]), (200, &Value::Null), "{url} {when}: {body}");
        let place = format!("I2: {zoom:?}{of} {when}");
        let served = body["data"].as_array().unwrap();
        let starts: Vec<DateTime<Utc>> =
            served.iter().map(|window| window["start"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(starts, expected.keys().copied().collect::<Vec<_>>(), "{place}");
        for (window, (partial, published)) in served.iter().zip(expected.values()) {
            let number = |key: &str| window[key].as_f64().unwrap();
            assert_eq!(window["count"].as_u64(), Some(partial.count), "{place}: {window}");
            assert_eq!((number("min"), number("max")), (partial.min, partial.max), "{place}: {window}");
            assert!((number("sum") - partial.sum).abs() <= 1e-9 * 1e4, "{place}: {window} is not {partial:?}");
            assert_eq!(window["batch_count"].as_u64(), Some(*published), "{place}: {window}");
        }
    }

    /// Fails unless nothing is left to speed, and a replay of the lake finds the same.
    pub async fn check_that_batch_has_seen_all(&self) {
        let boundary = self.deps.views.boundary(&self.profile.name).await.unwrap();
        assert!(self.counted(&boundary).iter().all(|value| value.published));
        let report = verify(&self.deps, &self.profile, &VerifyRequest { rows_at_once: 7 }).await.unwrap();
        assert!(report.holds(), "{report:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The server over these stores.
fn serve(deps: &BatchDeps, profile: &StreamProfile) -> (String, CancellationToken) {
    let mut streams = StreamRegistry::built_in().unwrap();
    streams.add(profile.clone());
    let deps = ServingDeps {
        views: Arc::clone(&deps.views),
        log: None,
        lake: None,
        streams,
        clock: Arc::clone(&deps.clock),
        readiness: Arc::new(NoSpeedHere),
        metrics: None,
    };
    let config = ServingConfig { listen: "127.0.0.1:0".to_owned(), workers: 1, ..ServingConfig::default() };
    let application = Application::build(deps, config).unwrap();
    let base = format!("http://127.0.0.1:{}", application.port());
    let stop = CancellationToken::new();
    tokio::spawn(application.run_until_stopped(stop.clone()));
    (base, stop)
}
