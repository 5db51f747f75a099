use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn engine() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engines/vllm")
}

/// Paths of the files below a folder.
fn below(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                below(&entry.path()).into_iter().map(|it| format!("{name}/{it}")).collect()
            } else {
                vec![name]
            }
        })
        .collect()
}

#[test]
fn it_holds_every_file_of_the_package_as_it_is() {
    let source = engine().join("src");
    let is_source = |path: &String| !path.contains("__pycache__") && !path.contains(".egg-info/");
    let wanted: BTreeSet<_> = below(&source).into_iter().filter(is_source).collect();
    let all = files();
    let (described, package): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(path, _)| path.contains(".dist-info/"));
    let found: BTreeSet<_> = package.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(found, wanted, "what is new there is embedded by its ending");
    for (path, content) in package {
        assert_eq!(content, fs::read(source.join(&path)).unwrap(), "{path}");
    }
    assert_eq!(described.len(), 4);
}

#[test]
fn it_is_described_as_the_wheel_is() {
    let project = fs::read_to_string(engine().join("pyproject.toml")).unwrap();
    let version = format!("\nversion = \"{VERSION}\"\n");
    assert!(project.contains(&version), "VERSION is not that of engines/vllm/pyproject.toml");
    let init = fs::read_to_string(engine().join("src/personaguard_vllm/__init__.py")).unwrap();
    assert!(init.contains(&format!("\n__version__ = \"{VERSION}\"\n")));
    let (section, entry) = ENTRY_POINTS.split_once('\n').unwrap();
    let (name, value) = entry.trim_end().split_once(" = ").unwrap();
    let group = section.trim_matches(['[', ']']);
    let declared = format!("[project.entry-points.\"{group}\"]\n{name} = \"{value}\"\n");
    assert!(project.contains(&declared), "ENTRY_POINTS are not those of pyproject.toml");
}

#[test]
fn any_user_can_read_it_and_a_restart_leaves_it_alone() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("plugin");
    assert_eq!(write(&target).unwrap(), Placed::Written);
    for path in below(&target) {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&target.join(&path)), 0o644, "{path}");
        assert_eq!(mode(target.join(&path).parent().unwrap()), 0o755, "{path}");
    }
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let first = inode(&target);
    assert_eq!(write(&target).unwrap(), Placed::Same);
    assert_eq!(inode(&target), first);
}

#[test]
fn what_was_left_half_done_or_by_another_version_is_replaced_as_a_whole() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("plugin");
    let is_right = |what: &str| {
        let wanted: BTreeSet<_> = files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(below(&target), wanted, "{what}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{what}: nothing else is left");
    };
    // An earlier process ended while it wrote.
    fs::create_dir_all(home.path().join(".plugin.new/personaguard_vllm")).unwrap();
    fs::write(home.path().join(".plugin.new/personaguard_vllm/old.py"), "x").unwrap();
    assert_eq!(write(&target).unwrap(), Placed::Written);
    is_right("half done");
    // A folder that is there and empty.
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir(&target).unwrap();
    assert_eq!(write(&target).unwrap(), Placed::Written);
    is_right("empty");
    type Change = fn(&Path);
    let changes: [Change; 3] = [
        |target| fs::remove_file(target.join("personaguard_vllm/link.py")).unwrap(),
        |target| fs::write(target.join("personaguard_vllm/link.py"), "import os").unwrap(),
        |target| {
            let older = target.join("personaguard_vllm-0.0.9.dist-info");
            fs::create_dir(&older).unwrap();
            fs::write(older.join("METADATA"), "").unwrap();
        },
    ];
    for change in changes {
        change(&target);
        assert_eq!(write(&target).unwrap(), Placed::Written);
        is_right("another version");
    }
}

#[test]
fn what_is_someone_elses_is_kept() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("thesis.txt"), "mine").unwrap();
    let error = write(home.path()).unwrap_err().to_string();
    assert!(error.contains("holds thesis.txt"), "{error}");
    assert_eq!(fs::read_to_string(home.path().join("thesis.txt")).unwrap(), "mine");
    for nowhere in [home.path().join("no/folder"), home.path().join("thesis.txt"), "/".into()] {
        assert!(write(&nowhere).is_err(), "{}", nowhere.display());
    }
}
