//! What the system knows of this process, as Prometheus' clients report it.

use std::fs;

/// What could be learnt.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) start_time_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// Reads /proc, which is memory: it does not block.
    pub(super) fn look() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let memory = fs::read_to_string("/proc/self/statm").ok();
        let boot = fs::read_to_string("/proc/stat").ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let page_bytes = rustix::param::page_size() as u64;
        let stat = stat.as_deref().and_then(Stat::parse);
        let memory = memory.as_deref().and_then(|text| Memory::parse(text, page_bytes));
        let of = |ticks: u64| ticks as f64 / ticks_per_second as f64;
        let booted_at = boot.as_deref().and_then(boot_time_seconds);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Process {
            cpu_seconds: stat.as_ref().map(|stat| of(stat.cpu_ticks)),
            start_time_seconds: stat
                .as_ref()
                .zip(booted_at)
                .map(|(stat, boot)| boot as f64 + of(stat.start_ticks)),
            resident_bytes: memory.as_ref().map(|memory| memory.resident_bytes),
            virtual_bytes: memory.as_ref().map(|memory| memory.virtual_bytes),
            // The one that lists them is among them.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1)),
            max_fds: limit,
        }
    }
}

/// Some of proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The second field is a name in brackets that may hold anything; the third is at index 0 here.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Stat { cpu_ticks: number(14)? + number(15)?, start_ticks: number(22)? })
    }
}

/// Some of proc_pid_statm(5).
#[derive(Debug, PartialEq)]
struct Memory {
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Memory {
    fn parse(text: &str, page_bytes: u64) -> Option<Memory> {
        let mut pages = text.split_ascii_whitespace().map(|pages| pages.parse::<u64>().ok());
        let mut next_bytes = || pages.next()??.checked_mul(page_bytes);
        Some(Memory { virtual_bytes: next_bytes()?, resident_bytes: next_bytes()? })
    }
}

fn boot_time_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_kernel() {
        let text = "7 (so) ld er) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 4 0 5000 2228224 300 18446744073709551615 1";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_ticks: 42, start_ticks: 5000 }));
        assert_eq!(Stat::parse("7 (x) S 1"), None);
        let memory = Memory { virtual_bytes: 544 * 4096, resident_bytes: 300 * 4096 };
        assert_eq!(Memory::parse("544 300 200 1 0 90 0\n", 4096), Some(memory));
        assert_eq!(Memory::parse("544", 4096), None);
        assert_eq!(boot_time_seconds("cpu 1\nbtime 1700000000\nx 1\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process() {
        let process = Process::look();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{process:?}");
        assert!(process.open_fds.is_some_and(|fds| fds >= 3), "{process:?}");
        assert!(process.start_time_seconds.is_some_and(|seconds| seconds > 1e9), "{process:?}");
    }
}
