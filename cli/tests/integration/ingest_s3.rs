//! History files that lie in a bucket.

use std::collections::BTreeMap;

use kilowatch_shared::lake::store::LakeStore;
use object_store::{ObjectStoreExt as _, path::Path};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{group::servers::Addresses, process::kilowatch};

/// What comes of `batch ingest ADDRESS`: the rows of each file, or the error.
fn ingest(folder: &TempDir, s3: &BTreeMap<String, String>, address: &str) -> Result<Vec<u64>, String> {
    let mut command = kilowatch(&folder.path().join("data"), &["--json", "batch", "ingest", address]);
    let output = command.envs(s3).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let reports = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    Ok(reports.map(|report| report.unwrap()["rows"].as_u64().unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_a_bucket_are_ingested_by_address_and_by_prefix() {
    let (folder, servers) = (tempfile::tempdir().unwrap(), Addresses::shared());
    let prefix = format!("{}/{}", servers.lake, Uuid::new_v4().simple());
    let store = LakeStore::open(&prefix, &servers.s3).unwrap();
    let header = "timestamp,active_power,reactive_power,voltage,current,sub_metering_1,sub_metering_2,sub_metering_3";
    for (name, day, rows) in [("in/b.csv", 6, 2), ("in/a.csv", 5, 3), ("in/_SUCCESS", 7, 1), ("other.csv", 8, 1)] {
        let rows: Vec<String> =
            (0..rows).map(|minute| format!("2026-01-0{day}T00:0{minute}:00Z,1.5,0.1,230,6.5,0,0,1")).collect();
        let text = format!("{header}\n{}\n", rows.join("\n"));
        store.objects().put(&Path::from(name), text.into()).await.unwrap();
    }
    let ingest = |address: &str| tokio::task::block_in_place(|| ingest(&folder, &servers.s3, address));
    assert_eq!(ingest(&format!("{prefix}/in/")), Ok(vec![3, 2]));
    assert_eq!(ingest(&format!("{prefix}/in/a.csv")), Ok(vec![0]));
    assert_eq!(ingest(&format!("{prefix}/other.csv")), Ok(vec![1]));
    let error = ingest(&format!("{prefix}/nowhere.csv")).unwrap_err();
    assert!(error.contains("nowhere.csv") && error.contains("is the address right?"), "{error}");
    assert!(ingest(&format!("{prefix}/nothing/")).unwrap_err().contains("holds no object"));
    assert!(ingest("s3://no-such-bucket-here/a.csv").unwrap_err().contains("no-such-bucket-here"));
    let mut wrong = servers.s3.clone();
    wrong.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "wr0ng-s3cret".to_owned());
    let address = format!("{prefix}/in/a.csv");
    let error = tokio::task::block_in_place(|| super::ingest_s3::ingest(&folder, &wrong, &address)).unwrap_err();
    assert!(error.contains("AWS_...") && !error.contains("wr0ng-s3cret"), "{error}");
}
