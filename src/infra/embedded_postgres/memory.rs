//! How much of the machine's memory PostgreSQL may use for pages.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Least and most, in MiB. The most holds a million users and their indexes.
const LEAST: u64 = 128;
const MOST: u64 = 2_048;

/// A quarter of the memory there is, as PostgreSQL's manual advises, in MiB. Pages that aren't needed take
/// none.
pub(super) fn shared_buffers() -> u64 {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let of_machine = read(Path::new("/proc/meminfo"));
    let groups = read(Path::new("/proc/self/cgroup"));
    let limits = limits(&groups).into_iter().map(|path| read(&path));
    shared_buffers_of(&of_machine, &limits.collect::<Vec<_>>())
}

/// Where the limits of the control groups may stand that we are in, of either version, those around each included.
fn limits(groups: &str) -> Vec<PathBuf> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        limits.extend(
            group
                .ancestors()
                .map(|group| Path::new(root).join(group).join(file)),
        );
    }
    limits
}

/// The same by what the system says of the machine's memory, and of that of the groups.
fn shared_buffers_of(of_machine: &str, of_groups: &[String]) -> u64 {
    let of_machine = of_machine
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map(|kibibytes| kibibytes / 1_024);
    // What has no limit says `max`, or a number beyond all memory.
    let of_groups = of_groups
        .iter()
        .filter_map(|limit| limit.trim().parse::<u64>().ok())
        .map(|bytes| bytes / (1 << 20));
    let memory = of_machine.into_iter().chain(of_groups).min();
    (memory.unwrap_or_default() / 4).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_what_there_is_is_used_within_bounds() {
        let machine =
            |mebibytes: u64| format!("MemTotal: {} kB\nMemFree: 1 kB\n", mebibytes * 1_024);
        for (machine, groups, expected) in [
            (machine(4_000), &["max\n"][..], 1_000),
            (machine(24_000), &[""], MOST),
            (
                machine(24_000),
                &["max\n", "2147483648\n", "4294967296\n"],
                512,
            ),
            (machine(1_000), &["9223372036854771712\n"], 250),
            (machine(256), &[], LEAST),
            (String::new(), &[], LEAST),
        ] {
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            assert_eq!(shared_buffers_of(&machine, &groups), expected);
        }
    }

    #[test]
    fn the_limits_of_all_groups_around_are_looked_at() {
        let paths = |groups| -> Vec<String> {
            let limits = limits(groups).into_iter();
            limits.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            paths("0::/system.slice/users.service\n"),
            [
                "/sys/fs/cgroup/system.slice/users.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(
            paths("5:cpu,cpuacct:/x\n4:memory:/docker/1\n"),
            [
                "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
    }
}
