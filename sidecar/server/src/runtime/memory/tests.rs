use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

const GIB: u64 = 1 << 30;

/// A file system with these files.
fn root(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");

#[test]
fn number_22_the_limit_is_that_of_the_container() {
    let v2 = root(&[
        MEMINFO,
        ("proc/self/cgroup", "0::/kubepods/pod1/c1\n"),
        ("sys/fs/cgroup/kubepods/pod1/c1/memory.max", "max\n"),
        ("sys/fs/cgroup/kubepods/pod1/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/kubepods/memory.max", "8589934592\n"),
        ("sys/fs/cgroup/kubepods/pod1/memory.current", "700000000\n"),
        ("sys/fs/cgroup/kubepods/pod1/memory.stat", "anon 5\ninactive_file 100000000\n"),
    ]);
    let memory = ContainerMemory::find(v2.path()).unwrap();
    assert_eq!((memory.limit, memory.working_set()), (GIB, Some(600_000_000)));

    // The container's own group is the topmost that it sees.
    let own = root(&[
        MEMINFO,
        ("proc/self/cgroup", "0::/\n"),
        ("sys/fs/cgroup/memory.max", "2147483648\n"),
    ]);
    assert_eq!(ContainerMemory::find(own.path()).unwrap().limit, 2 * GIB);

    let v1 = root(&[
        MEMINFO,
        ("proc/self/cgroup", "12:cpu,cpuacct:/d/c\n7:memory:/d/c\n0::/\n"),
        ("sys/fs/cgroup/memory/d/c/memory.limit_in_bytes", "536870912\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/d/c/memory.usage_in_bytes", "400\n"),
        ("sys/fs/cgroup/memory/d/c/memory.stat", "inactive_file 7\ntotal_inactive_file 100\n"),
    ]);
    let memory = ContainerMemory::find(v1.path()).unwrap();
    assert_eq!((memory.limit, memory.working_set()), (GIB / 2, Some(300)));

    // Without a limit, or one beyond the machine's memory, the machine is the limit.
    for limit in ["max\n", "99999999999999\n", "nonsense"] {
        let none =
            root(&[MEMINFO, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", limit)]);
        let memory = ContainerMemory::find(none.path()).unwrap();
        assert_eq!((memory.limit, memory.working_set()), (16 * GIB, None));
    }
    assert_eq!(ContainerMemory::find(root(&[]).path()), None);
}

proptest! {
    /// Whatever the container, the weights and the model: it all fits, unless not even the least
    /// does, and then that is told.
    #[test]
    fn number_22_the_kv_cache_fits_into_the_container(
        limit in 0..64 * GIB,
        taken in 0..16 * GIB,
        working in 0..4 * GIB,
        full in 1..64 * GIB,
        least in 1..GIB,
    ) {
        let needs = Needs { limit, taken, working, full, least };
        let (budget, fits) = needs.kv_budget();
        prop_assert!(budget >= least.min(full) && budget <= full.max(least.min(full)));
        if fits {
            prop_assert!(taken + working + budget <= limit - limit / 8);
        } else {
            prop_assert_eq!(budget, least.min(full));
        }
    }
}
