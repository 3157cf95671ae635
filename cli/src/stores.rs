//! Opens lake, views and log by the settings.

use std::sync::Arc;

use anyhow::Context as _;
use kilowatch_batch::BatchDeps;
use kilowatch_shared::{
    clock::{SharedClock, SystemClock},
    lake::{LakeError, delta::DeltaLake, store::LakeStore},
    log::{LogAddress, SharedLog},
    stream::StreamProfile,
    views::{self, SharedViews},
};

use crate::context::Context;

/// The three stores and the time.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The lake.
    pub lake: Arc<DeltaLake>,
    /// The views.
    pub views: SharedViews,
    /// What time it is.
    pub clock: SharedClock,
}

impl Stores {
    /// Opens lake and views, and brings the views' schema up to date.
    ///
    /// # Errors
    /// An address that is wrong, or a store that cannot be reached.
    pub async fn open(context: &Context) -> anyhow::Result<Self> {
        let settings = &context.settings;
        let clock: SharedClock = Arc::new(SystemClock);
        let lake = open_lake(context)?;
        let views =
            views::open(&settings.views.url_or_default(&settings.data_dir)).await.context("opening the views")?;
        Ok(Self { lake, views, clock })
    }

    /// What batch jobs work with.
    pub fn batch(&self) -> BatchDeps {
        BatchDeps { lake: Arc::clone(&self.lake), views: Arc::clone(&self.views), clock: Arc::clone(&self.clock) }
    }
}

/// Gives the table of a stream the columns that its profile has gained. A lake that is away gets them with the first rows.
///
/// # Errors
/// The profile gives a column another meaning: none of its rows would be taken.
pub async fn expand_table(lake: &DeltaLake, profile: &StreamProfile) -> anyhow::Result<()> {
    let expanded = async {
        let changes = lake.column_changes(profile).await?;
        if !changes.refused.is_empty() {
            return Ok(Err(changes.refused.join("; ")));
        }
        Ok::<_, LakeError>(Ok(lake.expand(profile).await?))
    };
    match expanded.await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(version))) => {
            tracing::info!(stream = %profile.name, lake.version = version, "the table has new columns")
        }
        Ok(Err(refused)) => anyhow::bail!("stream `{}` does not fit its table in the lake: {refused}", profile.name),
        Err(error) => {
            tracing::warn!(stream = %profile.name, %error, "the columns of the table are not looked at before its first rows");
        }
    }
    Ok(())
}

/// Opens the lake alone, for whoever needs nothing of the views.
///
/// # Errors
/// An address that is wrong, or a store that cannot be reached.
pub fn open_lake(context: &Context) -> anyhow::Result<Arc<DeltaLake>> {
    let settings = &context.settings;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("making the data folder {}", settings.data_dir.display()))?;
    let store = LakeStore::open(&settings.lake.url_or_default(&settings.data_dir), &context.environment)
        .context("opening the lake")?;
    Ok(Arc::new(DeltaLake::new(store, Arc::new(SystemClock))))
}

/// Opens the log; the views know which topics were adopted as another generation, which a mere producer need not.
///
/// # Errors
/// An address that is wrong, or a log that cannot be reached.
pub async fn open_log(context: &Context, views: Option<&SharedViews>) -> anyhow::Result<SharedLog> {
    let settings = &context.settings;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("making the data folder {}", settings.data_dir.display()))?;
    let mut address = log_address(context)?;
    if let (LogAddress::Kafka(config), Some(views)) = (&mut address, views) {
        config.adopted = views.topic_generations().await.context("asking the views for adopted topics")?;
    }
    address.open(Arc::new(SystemClock)).await.context("opening the log")
}

/// Where the log is, and how it is reached.
///
/// # Errors
/// An address that is wrong.
pub fn log_address(context: &Context) -> anyhow::Result<LogAddress> {
    let settings = &context.settings;
    let mut address = LogAddress::parse(&settings.log.url_or_default(&settings.data_dir))?;
    if let LogAddress::Kafka(config) = &mut address {
        config.generation = settings.log.generation;
        config.group.clone_from(&settings.log.group_id);
        config.security = settings.log.security.kafka();
        config.properties.clone_from(&settings.log.properties);
    }
    Ok(address)
}
