//! Object stores, by address: a folder, or `s3://bucket/prefix` with the usual AWS environment.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::Error;

/// The store at `root` and the path in it. A folder is made if it is missing.
pub fn open(root: &str) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
    if let Some(rest) = root.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build()?;
        return Ok((Arc::new(store), Path::from(prefix)));
    }
    std::fs::create_dir_all(root).map_err(|error| Error::Config(format!("cannot make folder {root:?}: {error}")))?;
    Ok((Arc::new(LocalFileSystem::new_with_prefix(root)?), Path::default()))
}
