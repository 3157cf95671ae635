//! Ingests and roll-ups as processes, killed at any moment of their work: a file is in the lake whole or not at all, what is
//! published is the state before or the one after, and the same command once more ends the work.

use std::{
    collections::BTreeMap,
    fmt::Write,
    process::{Command, Stdio},
    time::Duration,
};

use kilowatch_shared::{
    position::StreamName,
    rollup::{Partial, RollupKey},
    views::{self, SharedViews},
};
use tempfile::TempDir;

use crate::{
    process::{kilowatch, timed},
    rounds::rounds,
};

const DAYS: usize = 40;
const PAGE_ROWS: u32 = 5_000;

type Windows = BTreeMap<RollupKey, Partial>;

/// A lake, and views that a test reads beside the processes that write them.
struct Published {
    folder: TempDir,
    views_url: String,
    views: SharedViews,
    days: usize,
}

impl Published {
    async fn new(folder: TempDir, views_url: String) -> Self {
        Self { views: views::open(&views_url).await.unwrap(), folder, views_url, days: 0 }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = kilowatch(&self.folder.path().join("data"), args);
        command.env("KILOWATCH_VIEWS__URL", &self.views_url);
        command
    }

    fn run(&self, args: &[&str]) {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes so many more days of one meter, an hour a line.
    fn next_days(&mut self, days: usize) -> String {
        let mut lines = String::from("Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;");
        lines.push_str("Sub_metering_1;Sub_metering_2;Sub_metering_3\n");
        for hour in self.days * 24..(self.days + days) * 24 {
            let (day, clock, power) = (hour / 24, hour % 24, 1 + hour % 7);
            let (month, day) = (1 + day / 28, 1 + day % 28);
            writeln!(lines, "{day}/{month}/2007;{clock:02}:00:00;{power}.5;0.1;240.0;{power}.0;0.0;1.0;17.0").unwrap();
        }
        self.days += days;
        let file = self.folder.path().join(format!("until-day-{}.txt", self.days)).display().to_string();
        std::fs::write(&file, lines).unwrap();
        file
    }

    /// Runs a command and kills it after this time; `true` if it ended before that.
    async fn run_for(&self, time: Duration, args: &[&str]) -> bool {
        let mut child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // No condition to wait for: the moments are spread over all of its work.
        tokio::time::sleep(time).await;
        let ended = child.try_wait().unwrap().is_some();
        let _gone = child.kill();
        child.wait().unwrap();
        ended
    }

    async fn windows(&self) -> Windows {
        let stream = StreamName::parse("household").unwrap();
        let mut all = Windows::new();
        loop {
            let after = all.keys().next_back().cloned();
            let page = self.views.published_rollups(&stream, after.as_ref(), PAGE_ROWS).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page.into_iter().map(|row| (row.key, row.partial)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingests_and_roll_ups_that_are_killed_at_any_moment_leave_a_whole_state_and_the_next_ones_end_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("views.sqlite").display().to_string();
    killed_at_any_moment(Published::new(folder, file).await).await;
}

#[cfg(feature = "service-tests")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_roll_ups_that_are_killed_at_any_moment_leave_a_whole_state_and_the_next_ones_end_them() {
    let schema = crate::schema::Schema::fresh().await;
    killed_at_any_moment(Published::new(tempfile::tempdir().unwrap(), schema.url.clone()).await).await;
}

async fn killed_at_any_moment(mut published: Published) {
    let (ingest, roll_up) = (["batch", "ingest"], ["batch", "rollup"]);
    let first = published.next_days(DAYS);
    let ingesting = timed(|| published.run(&[ingest[0], ingest[1], &first]));
    published.run(&roll_up);
    let rolling_up = timed(|| published.run(&["batch", "rollup", "--full"]));
    let kills = u32::try_from(rounds(16, 200)).unwrap();
    let (mut before_it, mut after_it) = (0, 0);
    for kill in 0..kills {
        let before = published.windows().await;
        let file = published.next_days(1);
        published.run_for(ingesting * kill / kills, &[ingest[0], ingest[1], &file]).await;
        published.run(&[ingest[0], ingest[1], &file]);
        let args: &[&str] = if kill % 4 == 3 { &roll_up } else { &["batch", "rollup", "--full"] };
        let ended = published.run_for(rolling_up * kill / kills, args).await;
        let left = published.windows().await;
        published.run(&roll_up);
        let after = published.windows().await;
        assert!(left == before || left == after, "kill {kill}: {} windows are published", left.len());
        assert!(!ended || left == after, "kill {kill}: a roll-up that ended published nothing");
        let of_a_day = before.len() / (published.days - 1);
        assert_eq!(after.len(), before.len() + of_a_day, "kill {kill}: the new day is not published");
        assert!(after.values().all(|window| window.count == 1), "kill {kill}: a row came in twice");
        before_it += u32::from(left == before);
        after_it += u32::from(left == after);
    }
    println!("{kills} kills: {before_it} before the publication, {after_it} after it");
    assert!(before_it > 0, "no roll-up was killed on its way");
    let incremental = published.windows().await;
    published.run(&["batch", "rollup", "--full"]);
    assert_eq!(published.windows().await, incremental);
    published.run(&["batch", "verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiries_that_are_killed_at_any_moment_change_no_window_and_the_next_one_ends_them() {
    let folder = tempfile::tempdir().unwrap();
    // The readings are of 2007, whenever this runs.
    std::fs::write(folder.path().join("kilowatch.toml"), "[retention]\nreadings_days = 30\n").unwrap();
    let file = folder.path().join("views.sqlite").display().to_string();
    let mut published = Published::new(folder, file).await;
    let first = published.next_days(DAYS);
    published.run(&["batch", "ingest", &first]);
    published.run(&["batch", "rollup"]);
    let windows = published.windows().await;
    let looking = timed(|| published.run(&["batch", "expire", "--dry-run"]));
    let kills = u32::try_from(rounds(8, 100)).unwrap();
    for kill in 0..kills {
        // A look is the first half of the work.
        published.run_for(looking * 2 * kill / kills, &["batch", "expire"]).await;
        assert_eq!(published.windows().await, windows, "kill {kill}");
        published.run(&["batch", "rollup"]);
        assert_eq!(published.windows().await, windows, "kill {kill}, and a roll-up");
    }
    published.run(&["batch", "expire"]);
    let output = published.command(&["--json", "batch", "expire"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let left = &report["expired"][0];
    assert_eq!(
        (&left["what"], &left["lake_files"], &left["waiting_files"]),
        (&"readings".into(), &0.into(), &0.into())
    );

    published.days = 0;
    let other_bytes = published.next_days(DAYS + 1);
    for command in [["batch", "ingest", &other_bytes], ["batch", "rollup", "--full"]] {
        published.run(&command);
    }
    published.run(&["batch", "verify"]);
    assert_eq!(published.windows().await, windows, "nothing comes back");
}
