//! One process from start to exit, and what the operating system says that it took.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use wait4::{ResUse, Wait4 as _};

use super::BenchmarkError;

/// How often a process is asked whether it has ended; as much may be missing in its time, of the tenths of seconds that
/// the shortest of them takes.
const ASKED_EVERY: Duration = Duration::from_millis(1);

/// Of what a process said, the end is kept.
const KEPT_BYTES: u64 = 64 << 10;

/// How a process ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself and well.
    Well(Took),
    /// There is no such program.
    NotFound,
    /// Otherwise; the last that it said.
    Badly(String),
}

/// What a process took.
#[derive(Debug)]
pub(super) struct Took {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_bytes: u64,
    /// What it printed.
    pub output: String,
}

/// Runs it to its end, which is by force where it takes longer than `timeout` or `stop` is cancelled. Its peak is never
/// less than what this process had resident when it started it.
pub(super) async fn run(
    command: &mut Command,
    folder: &Path,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Ended, BenchmarkError> {
    let (out, err) = (folder.join("stdout.txt"), folder.join("stderr.txt"));
    // Files and no pipes: nobody has to read along while it is timed.
    let to = |path: &Path| File::create(path).map_err(BenchmarkError::at(path));
    command.stdin(Stdio::null()).stdout(to(&out)?).stderr(to(&err)?);
    let program = command.get_program().to_string_lossy().into_owned();
    let began = Instant::now();
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ended::NotFound),
        Err(error) => return Ok(Ended::Badly(format!("{program}: {error}"))),
    };
    let mut running = Running(Some(child));
    let used = loop {
        tokio::select! {
            () = tokio::time::sleep(ASKED_EVERY) => {}
            () = stop.cancelled() => return Err(BenchmarkError::Stopped),
        }
        let asked =
            running.try_wait().map_err(|source| BenchmarkError::NotMeasured { program: program.clone(), source });
        if let Some(used) = asked? {
            break used;
        }
        if began.elapsed() > timeout {
            return Ok(Ended::Badly(format!("it took longer than {} s and was ended", timeout.as_secs())));
        }
    };
    let wall = began.elapsed();
    if !used.status.success() {
        let said = last_line(&tail(&err)?).or(last_line(&tail(&out)?));
        return Ok(Ended::Badly(said.unwrap_or_else(|| used.status.to_string())));
    }
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Ended::Well(Took { wall, cpu, peak_bytes: used.rusage.maxrss, output: tail(&out)? }))
}

/// A child that does not outlive whoever waits for it.
struct Running(Option<Child>);

impl Running {
    fn try_wait(&mut self) -> std::io::Result<Option<ResUse>> {
        let used = self.0.as_mut().map_or(Ok(None), |child| child.try_wait4())?;
        if used.is_some() {
            // Reaped: its number may be another's by now.
            self.0 = None;
        }
        Ok(used)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // One that has just ended by itself needs no signal, and is reaped all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail(path: &Path) -> Result<String, BenchmarkError> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(KEPT_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_err(BenchmarkError::at(path))
}

/// The last line with something in it, as a reason may quote it.
fn last_line(text: &str) -> Option<String> {
    /// What fits a line of a table.
    const LONGEST_CHARS: usize = 200;
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|character| !character.is_control()).take(LONGEST_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    async fn ended(command: &mut Command, timeout: Duration) -> Ended {
        let folder = tempfile::tempdir().unwrap();
        run(command, folder.path(), timeout, &CancellationToken::new()).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_a_process_took_is_its_own() {
        let Ended::Well(took) = ended(&mut shell("echo 41; echo 42"), LONG).await else { panic!("it ended badly") };
        assert_eq!(took.output, "41\n42\n");
        assert!(took.peak_bytes > 0 && took.wall > Duration::ZERO, "{took:?}");
    }

    #[tokio::test]
    async fn a_failure_is_told_in_the_process_own_last_words() {
        let Ended::Badly(reason) = ended(&mut shell("echo fine; echo why >&2; echo >&2; exit 3"), LONG).await else {
            panic!("it ended well");
        };
        assert_eq!(reason, "why");
        assert!(matches!(ended(&mut Command::new("/nowhere/at/all"), LONG).await, Ended::NotFound));
    }

    #[tokio::test]
    async fn a_process_that_takes_too_long_is_ended() {
        let Ended::Badly(reason) = ended(&mut shell("exec sleep 600"), Duration::from_millis(20)).await else {
            panic!("it ended well");
        };
        assert!(reason.contains("longer than"), "{reason}");
    }

    #[tokio::test]
    async fn a_cancelled_wait_leaves_no_process_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (stop, pid) = (CancellationToken::new(), folder.path().join("stdout.txt"));
        let mut command = shell("echo $$; exec sleep 600");
        let waiting = run(&mut command, folder.path(), LONG, &stop);
        let cancelling = async {
            while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
                tokio::time::sleep(ASKED_EVERY).await;
            }
            stop.cancel();
        };
        let (outcome, ()) = tokio::join!(waiting, cancelling);
        assert!(matches!(outcome, Err(BenchmarkError::Stopped)), "{outcome:?}");
        let number = std::fs::read_to_string(&pid).unwrap();
        assert!(!Path::new("/proc").join(number.trim()).exists(), "process {number} is still there");
    }
}
