//! `lake schema`.

use clap::Args;
use kilowatch_shared::lake::{delta::DeltaLake, schema::bucket_field};
use serde::Serialize;

use super::opened::TableArgs;
use crate::{context::Context, output};

/// Arguments of `lake schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    #[command(flatten)]
    table: TableArgs,
}

/// A column.
#[derive(Debug, Serialize)]
struct Column {
    name: String,
    /// As SQL's `arrow_typeof` calls it.
    r#type: String,
    nullable: bool,
    /// Whether it stands in the files' paths and not in the files.
    partitions: bool,
}

pub async fn run(args: &SchemaArgs, lake: &DeltaLake, context: &Context) -> anyhow::Result<()> {
    let table = args.table.open(lake).await?;
    let stored = table.schema.fields().iter().map(|field| (field.clone(), false));
    let columns: Vec<Column> = stored
        .chain(std::iter::once((bucket_field(), true)))
        .map(|(field, partitions)| Column {
            name: field.name().clone(),
            r#type: field.data_type().to_string(),
            nullable: field.is_nullable(),
            partitions,
        })
        .collect();
    output::answer(context.json, &columns, |columns| {
        let rows: Vec<[String; 3]> = columns
            .iter()
            .map(|column| {
                let note = match (column.partitions, column.nullable) {
                    (true, _) => "partitions the table",
                    (false, true) => "may be null",
                    (false, false) => "",
                };
                [column.name.clone(), column.r#type.clone(), note.to_owned()]
            })
            .collect();
        output::aligned(["column", "type", ""], &rows)
    })
}
