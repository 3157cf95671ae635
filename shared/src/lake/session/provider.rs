//! A lake table as DataFusion sees it: a list of files, of which a scan opens those that may hold an answer.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DFSchema, ScalarValue, Statistics, stats::Precision},
    datasource::{
        TableProvider, TableType,
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, utils::conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};

use super::ranges::{FileRanges, days_since_1970};
use crate::lake::{
    delta::{LakeFile, TableFiles},
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
    table: TableFiles,
}

impl LakeTableProvider {
    pub(super) fn new(table: &TableFiles) -> Self {
        let table_schema =
            TableSchema::builder(table.schema.clone()).with_table_partition_cols(vec![bucket_field()]).build();
        Self { table_schema, table: table.clone() }
    }

    /// The files that may hold rows for which all filters are true.
    fn files_for(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&Arc<LakeFile>>> {
        let all = self.table.files.iter();
        let Some(filter) = conjunction(filters.to_vec()) else { return Ok(all.collect()) };
        let schema = DFSchema::try_from(self.schema())?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(self.schema())
            .try_build(state.create_physical_expr(filter, &schema)?)?;
        let keep = predicate.prune(&FileRanges(&self.table.files))?;
        Ok(all.zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
    }

    /// Files dealt out so that every partition has about as many bytes to read.
    fn groups(&self, mut files: Vec<&Arc<LakeFile>>, partitions: usize) -> Vec<FileGroup> {
        files.sort_by_key(|file| std::cmp::Reverse(file.size_bytes));
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> =
            vec![(0, Vec::new()); partitions.clamp(1, files.len().max(1))];
        for file in files {
            if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                *bytes += file.size_bytes;
                group.push(self.partitioned_file(file));
            }
        }
        groups.into_iter().map(|(_, group)| FileGroup::new(group)).collect()
    }

    fn partitioned_file(&self, file: &LakeFile) -> PartitionedFile {
        let mut partitioned = PartitionedFile::new(self.table.location(file).to_string(), file.size_bytes);
        partitioned.object_meta.last_modified = file.modified_at;
        partitioned.partition_values = vec![ScalarValue::Date32(file.bucket.map(days_since_1970))];
        partitioned
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

    /// A filter leaves out files, and the Parquet reader leaves out row groups; what is left is filtered above the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.files_for(state, filters)?;
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut statistics = Statistics::new_unknown(&self.schema());
        let rows: Option<u64> = files.iter().map(|file| file.stats.rows).sum();
        if let Some(rows) = rows {
            statistics.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
        }
        let source = ParquetSource::new(self.table_schema.clone()).with_metadata_size_hint(FOOTER_BYTES);
        let config = FileScanConfigBuilder::new(store_url()?, Arc::new(source))
            .with_file_groups(self.groups(files, state.config().target_partitions()))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
