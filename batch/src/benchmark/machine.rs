//! What the benchmark runs on, as Linux tells it.

use kilowatch_shared::benchmark::Machine;

/// This machine. What it does not say is said to be unknown.
pub(super) fn this_machine() -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    Machine {
        cpu: value_of(&read("/proc/cpuinfo"), "model name", ':').unwrap_or_else(|| "unknown processor".to_owned()),
        cores,
        memory_bytes: memory_bytes(&read("/proc/meminfo")),
        os: os(&read("/etc/os-release"), read("/proc/sys/kernel/osrelease").trim()),
    }
}

fn memory_bytes(meminfo: &str) -> u64 {
    let total = value_of(meminfo, "MemTotal", ':');
    let kib = total.and_then(|text| text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()));
    kib.unwrap_or(0) * 1024
}

fn os(release: &str, kernel: &str) -> String {
    let name = value_of(release, "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned());
    let name = name.unwrap_or_else(|| std::env::consts::OS.to_owned());
    if kernel.is_empty() { name } else { format!("{name}, kernel {kernel}") }
}

fn value_of(text: &str, key: &str, separator: char) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_from_what_linux_says() {
        assert_eq!(memory_bytes("MemTotal:       24321000 kB\nMemFree: 1 kB\n"), 24_321_000 * 1024);
        assert_eq!(memory_bytes(""), 0);
        assert_eq!(os("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n", "6.1.0"), "Debian GNU/Linux 12, kernel 6.1.0");
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(value_of(cpuinfo, "model name", ':').as_deref(), Some("AMD EPYC"));
    }
}
