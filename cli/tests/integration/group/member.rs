//! A member of a group: a process.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use super::{ASSIGNED, GIVEN_AWAY};
use crate::process::wait_until;

/// A running `kilowatch speed run`; killed when dropped.
pub struct Member {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Member {
    /// Starts it, and takes note of what it says.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, heard) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        // Reads all the time: a full pipe would stop the process.
        let listener = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if std::env::var_os("KILOWATCH_TEST_SHOW_LOGS").is_some() {
                    eprintln!("{line}");
                }
                heard.lock().unwrap().push(line);
            }
        });
        Self { child, lines, listener: Some(listener) }
    }

    /// How many of its log lines hold this text.
    pub fn said(&self, text: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }

    /// How many partitions it has, as far as it said.
    pub fn partitions(&self) -> usize {
        self.said(ASSIGNED).saturating_sub(self.said(GIVEN_AWAY))
    }

    /// What is wrong, by `/readyz`; nothing if it is ready.
    pub async fn problems(&self) -> Option<String> {
        wait_until("a member says where its health is", async || self.health_url().is_some()).await;
        let url = format!("{}/readyz", self.health_url().unwrap());
        // It answers late, and not never, while its neighbours are away.
        let mut answer = None;
        wait_until("a member tells its health", async || {
            answer = reqwest::get(&url).await.ok();
            answer.is_some()
        })
        .await;
        let answer = answer.unwrap();
        if answer.status().is_success() { None } else { Some(answer.text().await.unwrap()) }
    }

    fn health_url(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        let place = lines.iter().find_map(|line| line.split("health and metrics at ").nth(1))?;
        let end = place.find(|c: char| c == '"' || c.is_whitespace()).unwrap_or(place.len());
        Some(place[..end].to_owned())
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        wait_until("a member says where its metrics are", async || self.health_url().is_some()).await;
        let url = format!("{}/metrics", self.health_url().unwrap());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let of_metric = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit(' ').next());
        of_metric.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it has to end well. Returns what it said in its life.
    pub fn stop(mut self) -> Vec<String> {
        self.signal("-TERM");
        let status = tokio::task::block_in_place(|| self.child.wait()).unwrap();
        // It reads to the end of what was said, and has that before it now.
        self.listener.take().unwrap().join().unwrap();
        let said = std::mem::take(&mut *self.lines.lock().unwrap());
        assert!(status.success(), "{status}: {said:#?}");
        said
    }

    /// Waits until it has ended by itself, well, and gives its answer.
    pub fn wait(mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.lines.lock().unwrap());
        answer
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
