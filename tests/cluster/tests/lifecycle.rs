//! A cluster from nothing to nothing, with kills in between. Needs root and minutes: `cargo xtask
//! test --only e2e`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use personaguard_cluster::{Cache, Cluster, Image, ImageFile, Status, capture};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NAME: &str = "life";

fn up(cache: &Cache) -> Cluster {
    Cluster::up(cache, NAME, &|text| println!("{text}")).unwrap()
}

/// What a cluster leaves on the machine, wherever it may.
fn traces(cache: &Cache) -> Vec<String> {
    let mut found = Vec::new();
    let links = capture(Command::new("ip").args(["-o", "link"])).unwrap();
    found.extend(links.lines().filter(|line| line.contains("pg-life")).map(str::to_owned));
    let folders =
        [format!("/run/netns/pg-{NAME}"), cache.join("clusters").join(NAME).display().to_string()];
    found.extend(folders.into_iter().filter(|path| Path::new(path).exists()));
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains("clusters/life")).map(str::to_owned));
    let cgroups =
        capture(Command::new("find").args(["/sys/fs/cgroup", "-name", "pg-life"])).unwrap();
    found.extend(cgroups.lines().map(str::to_owned));
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains("clusters/life/") {
            found.push(arguments);
        }
    }
    found
}

#[test]
#[ignore = "needs root and minutes: cargo xtask test --only e2e"]
fn a_cluster_comes_up_survives_kills_and_leaves_nothing() {
    let cache = Cache::open().unwrap();
    Cluster::down(&cache, NAME).unwrap();
    assert_eq!(traces(&cache), Vec::<String>::new());

    let mut cluster = up(&cache);
    // A container of an image that was put together here, which finds a Service by its name.
    let curl = Path::new("/usr/bin/curl");
    let mut image = Image::for_program("localhost/curl:1", curl).unwrap();
    image.add("hello", ImageFile::Bytes(b"hello\n".to_vec()));
    assert!(cluster.import(&image).unwrap());
    assert!(!cluster.import(&image).unwrap(), "the same image is not imported twice");
    let fetch = [
        "-sSk",
        "--retry",
        "20",
        "--retry-all-errors",
        "https://kubernetes.default.svc/healthz",
        "file:///hello",
    ];
    let run = [
        "run",
        "curl",
        "--image=localhost/curl:1",
        "--image-pull-policy=Never",
        "--restart=Never",
        "--",
    ];
    assert!(cluster.kubectl().args(run).args(fetch).status().unwrap().success());
    let wait = ["wait", "pod/curl", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=2m"];
    assert!(cluster.kubectl().args(wait).status().unwrap().success());
    assert_eq!(capture(cluster.kubectl().args(["logs", "curl"])).unwrap(), "okhello\n");
    let audit = std::fs::read_to_string(cluster.layout().audit_log()).unwrap();
    assert!(
        audit.lines().any(|line| line.contains(r#""verb":"create""#) && line.contains("/pods")),
        "no write in the audit log"
    );

    // One process killed: named, and started again with nothing lost.
    cluster.kill("scheduler").unwrap();
    drop(cluster);
    let cluster = up(&cache);
    assert_eq!(Cluster::status(&cache, NAME).unwrap(), Status::Running { ended: vec![] });
    assert!(capture(cluster.kubectl().args(["get", "pod", "curl"])).unwrap().contains("curl"));

    // Everything killed at once, as a kill of the whole session would.
    let init = std::fs::read_to_string(cluster.layout().join("init")).unwrap();
    assert!(Command::new("kill").args(["-9", init.trim()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while Cluster::status(&cache, NAME).unwrap() != Status::Leftovers {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    let cluster = up(&cache);
    assert!(
        !capture(cluster.kubectl().args(["get", "pods"])).unwrap_or_default().contains("curl"),
        "a new cluster is empty"
    );

    Cluster::down(&cache, NAME).unwrap();
    assert_eq!(Cluster::status(&cache, NAME).unwrap(), Status::Absent);
    assert_eq!(traces(&cache), Vec::<String>::new());
}
