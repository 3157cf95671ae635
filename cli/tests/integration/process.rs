//! Starts the binary, finds its port, ends it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Far more than anything takes that a test waits for; one that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits for a condition, which is asked for again and again.
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "waited in vain until {what}");
}

/// The binary that is tested.
pub fn own_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kilowatch"))
}

/// The binary with an environment of its own.
pub fn kilowatch(data_dir: &Path, args: &[&str]) -> Command {
    kilowatch_of(own_binary(), data_dir, args)
}

/// The same of another build. Nothing of the caller's `KILOWATCH_` variables gets in.
pub fn kilowatch_of(binary: &Path, data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KILOWATCH_")) {
        command.env_remove(name);
    }
    command.current_dir(data_dir.parent().unwrap()).arg("--data-dir").arg(data_dir).args(args);
    command
}

/// Runs the binary to its end.
pub fn run(data_dir: &Path, args: &[&str]) -> Output {
    kilowatch(data_dir, args).output().unwrap()
}

/// How long work takes, to spread kills over it.
pub fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// A running `kilowatch up`; killed when dropped.
pub struct Running {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
}

impl Running {
    /// Starts it on a free port and waits until it says which.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, receive) = mpsc::channel();
        // Reads on after the port is found: a full pipe would stop the process.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if std::env::var_os("KILOWATCH_TEST_SHOW_LOGS").is_some() {
                    eprintln!("{line}");
                }
                let _ = send.send(line);
            }
        });
        let mut seen = Vec::new();
        let url = loop {
            match receive.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => match line.split("dashboard at ").nth(1) {
                    Some(rest) => break rest.split('"').next().unwrap().trim().to_owned(),
                    None => seen.push(line),
                },
                Err(_) => {
                    let _ = child.kill();
                    panic!("kilowatch did not say where its dashboard is:\n{}", seen.join("\n"));
                }
            }
        };
        Self { child, url }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
