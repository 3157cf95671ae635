//! Dead letters of the lake, whole buckets of them.

use kilowatch_shared::{
    lake::{LakeTable, delta::ExpiredFiles},
    stream::StreamProfile,
};

use super::{Expired, expire_files, floor_of_buckets};
use crate::{BatchDeps, BatchError};

/// Takes out the data files of buckets that end at the floor or before. No replay wants dead letters.
pub(super) async fn expire(
    deps: &BatchDeps,
    profile: &StreamProfile,
    dry_run: bool,
    expired: &mut Expired,
) -> Result<(), BatchError> {
    let floor = floor_of_buckets(profile, expired.before);
    let found = expire_files(deps, profile, (LakeTable::DeadLetters, dry_run), async |table| {
        let files = table.files.iter().filter(|file| file.is_before(floor)).cloned().collect();
        Ok(ExpiredFiles { files, floor, ..ExpiredFiles::default() })
    });
    expired.add_files(&found.await?.files);
    Ok(())
}
