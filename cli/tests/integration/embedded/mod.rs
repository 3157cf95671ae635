//! `kilowatch up`, embedded log and views and a lake in a folder, under faults: readings flow in over HTTP ([`sender`]),
//! and what is there in the end is held against what was acknowledged ([`ended`]).

mod beside;
mod disk_full;
mod ended;
mod kill;
mod lake_disk;
mod sender;

use std::{path::Path, process::Command};

use crate::process::{kilowatch, run};

fn up(data: &Path) -> Command {
    let mut command = kilowatch(data, &["--listen", "127.0.0.1:0", "up", "--no-simulator"]);
    // Short windows and segments put many commits between two kills.
    command.env("KILOWATCH_SPEED__WINDOW_MS", "100").env("KILOWATCH_SPEED__SEGMENT_MS", "1000");
    command
}

fn drain(data: &Path) {
    let output = run(data, &["--json", "speed", "run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
