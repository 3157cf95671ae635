//! What people name becomes files: folders, patterns, archives.

use std::{collections::BTreeMap, ffi::OsString, io::Write as _, path::Path};

use kilowatch_batch::{
    BatchError,
    ingest::{IngestConfig, Input, Inputs, OwnPlaces, Spool},
};
use kilowatch_shared::lake::store::LakeStore;
use zip::{ZipWriter, write::SimpleFileOptions};

/// A folder with these files, each of which holds its own name.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    folder
}

fn archive(path: &Path, members: &[(&str, &str)]) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in members {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap();
}

/// The folder's own spool with room for a MiB.
fn spool(folder: &Path) -> Spool {
    Spool::open(folder.join("own/spool"), IngestConfig { spool_mib: 1 })
}

fn own(data_dir: &Path) -> OwnPlaces {
    OwnPlaces::of(data_dir, &LakeStore::in_memory())
}

async fn resolved(folder: &Path, named: &[&str]) -> Result<Inputs, BatchError> {
    let named: Vec<OsString> = named.iter().map(|name| folder.join(name).into_os_string()).collect();
    Inputs::resolve(&named, &BTreeMap::new(), &own(&folder.join("own")), spool(folder)).await
}

/// The names below the folder, and what each file holds; an error stands for its file.
async fn found(folder: &Path, named: &[&str]) -> Vec<(String, String)> {
    let mut inputs = resolved(folder, named).await.unwrap();
    let mut found = Vec::new();
    loop {
        match inputs.next().await {
            Ok(None) => return found,
            Ok(Some(Input { name, at, .. })) => {
                let name = name.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(at).unwrap_or_default()));
            }
            Err(error) => found.push(("error".to_owned(), error.to_string())),
        }
    }
}

fn same(names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test]
async fn a_folder_means_its_files_by_name_and_no_markers() {
    let folder = folder(&["d/b.csv", "d/a.csv", "d/2024/x.csv", "d/.hidden", "d/_SUCCESS", "d/_delta_log/0.json"]);
    assert_eq!(found(folder.path(), &["d"]).await, same(&["d/2024/x.csv", "d/a.csv", "d/b.csv"]));
}

#[tokio::test]
async fn a_pattern_means_what_it_matches_and_a_file_of_that_very_name_itself() {
    let folder = folder(&["a-1.csv", "a-2.csv", "b.csv", "[odd].csv"]);
    assert_eq!(found(folder.path(), &["a-*.csv", "b.csv"]).await, same(&["a-1.csv", "a-2.csv", "b.csv"]));
    assert_eq!(found(folder.path(), &["[odd].csv"]).await, same(&["[odd].csv"]));
}

#[tokio::test]
async fn the_members_of_an_archive_are_files_of_their_own_and_leave_no_spool() {
    let folder = folder(&["last.csv"]);
    let members = [
        ("in/", ""),
        ("./in/one.csv", "one"),
        ("__MACOSX/in/._one.csv", "junk"),
        ("../../two.csv", "two"),
        ("/etc/three.csv", "three"),
    ];
    archive(&folder.path().join("a.zip"), &members);
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let expected = [
        pair("a.zip/in/one.csv", "one"),
        pair("a.zip/two.csv", "two"),
        pair("a.zip/etc/three.csv", "three"),
        pair("last.csv", "last.csv"),
    ];
    assert_eq!(found(folder.path(), &["a.zip", "last.csv"]).await, expected);
    assert_eq!(std::fs::read_dir(folder.path().join("own/spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_archive_that_is_cut_off_or_empty_is_told_of_and_the_next_file_comes_all_the_same() {
    let folder = folder(&["last.csv"]);
    let whole = folder.path().join("whole.zip");
    archive(&whole, &[("one.csv", "one")]);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(folder.path().join("cut.zip"), &bytes[..bytes.len() / 2]).unwrap();
    archive(&folder.path().join("empty.zip"), &[]);
    let found = found(folder.path(), &["cut.zip", "empty.zip", "last.csv"]).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].1.contains("cut.zip: damaged ZIP archive"), "{found:?}");
    assert!(found[1].1.contains("empty.zip: the ZIP archive holds no file"), "{found:?}");
    assert_eq!(found[2].0, "last.csv");
}

#[tokio::test]
async fn what_names_nothing_says_so() {
    let folder = folder(&["d/.hidden"]);
    let refused = async |name: &str| resolved(folder.path(), &[name]).await.unwrap_err().to_string();
    assert!(refused("d").await.ends_with("d: the folder holds no file"));
    assert!(refused("*.csv").await.ends_with("*.csv: no file matches this pattern"));
    let named = ["s3://user:s3cr3t@bucket/x".into()];
    let resolved = Inputs::resolve(&named, &BTreeMap::new(), &own(folder.path()), spool(folder.path())).await;
    let error = resolved.unwrap_err().to_string();
    assert!(error.contains("s3://bucket/prefix") && !error.contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn a_second_way_to_a_file_is_no_second_file_and_links_that_lead_back_up_end() {
    let folder = folder(&["d/a.csv", "d/sub/b.csv"]);
    let d = folder.path().join("d");
    std::os::unix::fs::symlink(&d, d.join("sub/up")).unwrap();
    std::os::unix::fs::symlink(d.join("a.csv"), d.join("z.csv")).unwrap();
    for named in ["d", "d/**/*.csv"] {
        let found = found(folder.path(), &[named]).await;
        assert_eq!(found.len(), 2, "{found:?}");
    }
}

#[tokio::test]
async fn kilowatchs_own_folder_is_no_history() {
    let folder = folder(&["a.csv", "own/views.csv", "own/lake/b.csv"]);
    for named in [".", "**/*.csv"] {
        let found = found(folder.path(), &[named]).await;
        assert_eq!(found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a.csv"]);
    }
    let refused = async |name: &str| resolved(folder.path(), &[name]).await.unwrap_err().to_string();
    let ours = "but those of kilowatch's own data folder and lake";
    let (of_folder, of_pattern) = (refused("own").await, refused("own/*.csv").await);
    assert!(of_folder.ends_with(&format!("own: the folder holds no file {ours}")), "{of_folder}");
    assert!(of_pattern.ends_with(&format!("own/*.csv: no file matches this pattern {ours}")), "{of_pattern}");
    assert_eq!(found(folder.path(), &["own/views.csv"]).await.len(), 1, "a file that is named itself is meant");
}

#[tokio::test]
async fn what_does_not_fit_into_the_spool_is_refused_with_the_way_out_and_the_next_file_comes() {
    let folder = folder(&["last.csv"]);
    let large = "x".repeat((1 << 20) + 1);
    archive(&folder.path().join("a.zip"), &[("large.csv", &large), ("small.csv", "small")]);
    let found = found(folder.path(), &["a.zip", "last.csv"]).await;
    let refused =
        "which may hold 1 MiB (ingest.spool_mib); raise that, or bring the bytes to this machine, unpack them";
    assert!(found[0].1.contains("a.zip/large.csv: it does not fit into the spool"), "{found:?}");
    assert!(found[0].1.contains(refused), "{found:?}");
    assert_eq!(found[1..].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.zip/small.csv", "last.csv"]);
    assert_eq!(std::fs::read_dir(folder.path().join("own/spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_spool_of_a_process_that_is_gone_is_removed_and_one_in_use_is_not() {
    let folder = folder(&["own/spool/ingest-left", "own/spool/else"]);
    archive(&folder.path().join("a.zip"), &[("one.csv", "one")]);
    let mut inputs = resolved(folder.path(), &["a.zip"]).await.unwrap();
    let input = inputs.next().await.unwrap().unwrap();
    let _another_call = spool(folder.path());
    assert_eq!(std::fs::read_to_string(&input.at).unwrap(), "one");
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path().join("own/spool")).unwrap().map(|e| e.unwrap().path()).collect();
    left.sort();
    assert_eq!(left, [folder.path().join("own/spool/else"), input.at.clone()]);
    drop(input);
    assert_eq!(std::fs::read_dir(folder.path().join("own/spool")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_spool_that_is_cleared_is_empty_while_it_is_in_use() {
    let folder = folder(&[]);
    archive(&folder.path().join("a.zip"), &[("one.csv", "one")]);
    let spool = spool(folder.path());
    let named = [folder.path().join("a.zip").into_os_string()];
    let mut inputs = Inputs::resolve(&named, &BTreeMap::new(), &own(folder.path()), spool.clone()).await.unwrap();
    let input = inputs.next().await.unwrap().unwrap();
    spool.clear();
    assert!(!input.at.exists());
}
