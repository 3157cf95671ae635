//! A lake table as DataFusion sees it: a list of files with what the log knows about each.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::{
    catalog::Session,
    common::{ColumnStatistics, ScalarValue, Statistics, stats::Precision},
    datasource::{
        TableProvider, TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::Expr,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};

use crate::lake::{
    delta::{LakeFile, TableFiles},
    files::FileStats,
    schema::bucket_field,
};

/// Footers of our files fit into this, so that one request reads a file's metadata.
const FOOTER_BYTES: usize = 32 << 10;

/// The address of the lake's store inside a session.
pub(super) fn store_url() -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse("lake://root")
}

#[derive(Debug)]
pub(super) struct LakeTableProvider {
    table_schema: TableSchema,
    files: Vec<PartitionedFile>,
    statistics: Statistics,
}

impl LakeTableProvider {
    pub(super) fn try_new(table: &TableFiles) -> Result<Self> {
        let table_schema =
            TableSchema::builder(table.schema.clone()).with_table_partition_cols(vec![bucket_field()]).build();
        let mut statistics = Statistics::new_unknown(table_schema.table_schema());
        let rows: Option<u64> = table.files.iter().map(|file| file.stats.rows).sum();
        if let Some(rows) = rows {
            statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        }
        let files = table.files.iter().map(|file| partitioned_file(table, file)).collect();
        Ok(Self { table_schema, files, statistics })
    }

    /// Files dealt out so that every partition has about as many bytes to read.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        let mut files: Vec<&PartitionedFile> = self.files.iter().collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.object_meta.size));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> =
            vec![(0, Vec::new()); partitions.clamp(1, files.len().max(1))];
        for file in files {
            if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                *bytes += file.object_meta.size;
                group.push(file.clone());
            }
        }
        groups.into_iter().map(|(_, group)| FileGroup::new(group)).collect()
    }
}

#[async_trait]
impl TableProvider for LakeTableProvider {
    fn schema(&self) -> SchemaRef {
        self.table_schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // Filters stay above the scan; the physical optimiser pushes them down from there and skips files, row groups and
    // pages by their statistics.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let source = ParquetSource::new(self.table_schema.clone()).with_metadata_size_hint(FOOTER_BYTES);
        let config = FileScanConfigBuilder::new(store_url()?, Arc::new(source))
            .with_file_groups(self.groups(state.config().target_partitions()))
            .with_statistics(self.statistics.clone())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn partitioned_file(table: &TableFiles, file: &LakeFile) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new(table.location(file).to_string(), file.size_bytes);
    partitioned.object_meta.last_modified = file.modified_at;
    partitioned.partition_values = vec![ScalarValue::Date32(file.bucket.map(days_since_1970))];
    let rows =
        file.stats.rows.map_or(Precision::Absent, |rows| Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX)));
    let columns = table.schema.fields().iter().map(|field| column_statistics(&file.stats, field.name())).collect();
    partitioned.with_statistics(Arc::new(Statistics {
        num_rows: rows,
        total_byte_size: Precision::Absent,
        column_statistics: columns,
    }))
}

/// Ranges are given as inexact: they always cover a column, but another writer may have cut them to a prefix.
fn column_statistics(stats: &FileStats, column: &str) -> ColumnStatistics {
    let text = |value: &String| ScalarValue::Utf8(Some(value.clone()));
    let range = match column {
        "event_time" => stats.event_time.map(|(from, to)| (instant(from), instant(to))),
        "device_id" => stats.device_id.as_ref().map(|(from, to)| (text(from), text(to))),
        "source" => stats.source.as_ref().map(|(from, to)| (text(from), text(to))),
        "source_partition" => stats.source_partition.map(|(from, to)| (from.into(), to.into())),
        "source_offset" => stats.source_offset.map(|(from, to)| (from.into(), to.into())),
        _ => None,
    };
    let Some((from, to)) = range else { return ColumnStatistics::new_unknown() };
    ColumnStatistics {
        min_value: Precision::Inexact(from),
        max_value: Precision::Inexact(to),
        ..ColumnStatistics::new_unknown()
    }
}

fn instant(value: DateTime<Utc>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(value.timestamp_micros()), Some("UTC".into()))
}

fn days_since_1970(date: NaiveDate) -> i32 {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).unwrap_or_default()
}
