use super::*;

#[test]
fn hierarchies_of_both_versions_are_told_apart() {
    let both = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    assert_eq!(mounted(both, "cgroup"), [PathBuf::from("/sys/fs/cgroup/cpu")]);
    assert_eq!(mounted(both, "cgroup2"), [PathBuf::from("/sys/fs/cgroup/unified")]);
}
