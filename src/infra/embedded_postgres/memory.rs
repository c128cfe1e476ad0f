//! How much of the machine's memory PostgreSQL may use for pages.

use std::fs;

/// Least and most, in MiB. The most holds a million users and their indexes.
const LEAST: u64 = 128;
const MOST: u64 = 2_048;

/// A quarter of the memory there is, as PostgreSQL's manual advises, in MiB. Pages that aren't needed take
/// none.
pub(super) fn shared_buffers() -> u64 {
    let of_machine = fs::read_to_string("/proc/meminfo");
    let of_group = fs::read_to_string("/sys/fs/cgroup/memory.max");
    shared_buffers_of(
        of_machine.as_deref().unwrap_or_default(),
        of_group.as_deref().unwrap_or_default(),
    )
}

/// The same by what the system says of the machine's memory, and of that of the container, if it is one.
fn shared_buffers_of(of_machine: &str, of_group: &str) -> u64 {
    let of_machine = of_machine
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map(|kibibytes| kibibytes / 1_024);
    let of_group = of_group.trim().parse::<u64>().ok();
    let of_group = of_group.map(|bytes| bytes / (1 << 20));
    let memory = of_machine.into_iter().chain(of_group).min();
    (memory.unwrap_or_default() / 4).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_there_is_is_used_within_bounds() {
        let machine =
            |mebibytes: u64| format!("MemTotal: {} kB\nMemFree: 1 kB\n", mebibytes * 1_024);
        for (machine, group, expected) in [
            (machine(4_000), "max\n", 1_000),
            (machine(24_000), "max\n", MOST),
            (machine(24_000), "2147483648\n", 512),
            (machine(1_000), "9223372036854771712\n", 250),
            (machine(256), "", LEAST),
            (String::new(), "", LEAST),
        ] {
            assert_eq!(shared_buffers_of(&machine, group), expected);
        }
    }
}
