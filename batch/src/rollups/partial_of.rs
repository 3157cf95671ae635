//! The aggregate `partial_of(measure)`: what a window holds of a measure, in one pass over the values.
//!
//! The same could be said with `count`, `sum`, `min`, `max` and `sum(x * x)`, which walk the rows five times; over the
//! seven measures of a household that is most of the query.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StructArray},
    buffer::NullBuffer,
    datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type},
};
use datafusion::{
    common::{Result, ScalarValue, internal_datafusion_err, internal_err},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::format_state_name,
    },
};
use kilowatch_shared::rollup::Partial;

/// The aggregate, to be registered in a session.
pub(crate) fn partial_of() -> AggregateUDF {
    AggregateUDF::new_from_impl(PartialOf {
        signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
    })
}

/// The partials of a column that `partial_of` made.
pub(crate) fn read_partials(column: &ArrayRef) -> Result<Vec<Partial>> {
    match column.as_struct_opt() {
        Some(structs) => Partials::read(structs.columns()),
        None => internal_err!("partial_of gives structs, not {}", column.data_type()),
    }
}

const FIELDS: [(&str, DataType); 5] = [
    ("count", DataType::Int64),
    ("sum", DataType::Float64),
    ("min", DataType::Float64),
    ("max", DataType::Float64),
    ("sum_squares", DataType::Float64),
];

fn fields() -> Fields {
    FIELDS.into_iter().map(|(name, kind)| Field::new(name, kind, false)).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PartialOf {
    signature: Signature,
}

impl AggregateUDFImpl for PartialOf {
    fn name(&self) -> &str {
        "partial_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let state = |(name, kind)| Arc::new(Field::new(format_state_name(args.name, name), kind, false));
        Ok(FIELDS.into_iter().map(state).collect())
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Partials { groups: vec![Partial::EMPTY] })))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Partials { groups: Vec::new() }))
    }
}

/// A partial per group.
#[derive(Debug)]
struct Partials {
    groups: Vec<Partial>,
}

impl Partials {
    fn merge(&mut self, group: usize, partial: &Partial) -> Result<()> {
        let Some(into) = self.groups.get_mut(group) else {
            return internal_err!("group {group} of {}", self.groups.len());
        };
        into.merge(partial);
        Ok(())
    }

    fn columns(partials: &[Partial]) -> Vec<ArrayRef> {
        let floats = |part: fn(&Partial) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(partials.iter().map(part)))
        };
        vec![
            Arc::new(Int64Array::from_iter_values(partials.iter().map(|partial| partial.count.cast_signed()))),
            floats(|partial| partial.sum),
            floats(|partial| partial.min),
            floats(|partial| partial.max),
            floats(|partial| partial.sum_squares),
        ]
    }

    fn read(columns: &[ArrayRef]) -> Result<Vec<Partial>> {
        let [count, sum, min, max, sum_squares] = columns else {
            return internal_err!("a partial has 5 columns, not {}", columns.len());
        };
        let float = |column: &ArrayRef| column.as_primitive_opt::<Float64Type>().cloned();
        let (Some(count), Some(sum), Some(min), Some(max), Some(sum_squares)) =
            (count.as_primitive_opt::<Int64Type>(), float(sum), float(min), float(max), float(sum_squares))
        else {
            return internal_err!("a partial has other column types");
        };
        Ok((0..count.len())
            .map(|row| Partial {
                count: count.value(row).cast_unsigned(),
                sum: sum.value(row),
                min: min.value(row),
                max: max.value(row),
                sum_squares: sum_squares.value(row),
            })
            .collect())
    }
}

fn values_of(arguments: &[ArrayRef]) -> Result<&Float64Array> {
    arguments
        .first()
        .and_then(|column| column.as_primitive_opt::<Float64Type>())
        .ok_or_else(|| internal_datafusion_err!("partial_of takes one column of doubles"))
}

/// The rows that count: present, and let through by the filter.
fn counted(values: &Float64Array, filter: Option<&BooleanArray>) -> Option<NullBuffer> {
    let passed = filter.map(|filter| {
        let passed = NullBuffer::new(filter.values().clone());
        NullBuffer::union(Some(&passed), filter.nulls()).unwrap_or(passed)
    });
    NullBuffer::union(values.nulls(), passed.as_ref())
}

impl GroupsAccumulator for Partials {
    fn update_batch(
        &mut self,
        arguments: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        let values = values_of(arguments)?;
        self.groups.resize(total_groups, Partial::EMPTY);
        match counted(values, filter) {
            None => {
                for (group, value) in group_indices.iter().zip(values.values()) {
                    self.merge(*group, &Partial::of(*value))?;
                }
            }
            Some(counted) => {
                for row in counted.valid_indices() {
                    if let (Some(group), Some(value)) = (group_indices.get(row), values.values().get(row)) {
                        self.merge(*group, &Partial::of(*value))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total_groups: usize) -> Result<()> {
        self.groups.resize(total_groups, Partial::EMPTY);
        for (group, partial) in group_indices.iter().zip(Self::read(states)?) {
            self.merge(*group, &partial)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let columns = self.state(emit_to)?;
        Ok(Arc::new(StructArray::try_new(fields(), columns, None)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(Self::columns(&emit_to.take_needed(&mut self.groups)))
    }

    fn convert_to_state(&self, arguments: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values_of(arguments)?;
        let mut partials = vec![Partial::EMPTY; values.len()];
        let counted = counted(values, filter);
        for (row, (partial, value)) in partials.iter_mut().zip(values.values()).enumerate() {
            if counted.as_ref().is_none_or(|counted| counted.is_valid(row)) {
                *partial = Partial::of(*value);
            }
        }
        Ok(Self::columns(&partials))
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Partial>()
    }
}

/// The whole input as one group, for queries without `GROUP BY`.
#[derive(Debug)]
struct OneGroup(Partials);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, arguments: &[ArrayRef]) -> Result<()> {
        let rows = values_of(arguments)?.len();
        GroupsAccumulator::update_batch(&mut self.0, arguments, &vec![0; rows], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, Array::len);
        GroupsAccumulator::merge_batch(&mut self.0, states, &vec![0; rows], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let whole = GroupsAccumulator::evaluate(&mut self.0, EmitTo::All)?;
        ScalarValue::try_from_array(&whole, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = GroupsAccumulator::state(&mut self.0, EmitTo::All)?;
        columns.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + GroupsAccumulator::size(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_filtered_values_are_in_no_partial() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(4.0), Some(9.0)]));
        let filter = BooleanArray::from(vec![Some(true), Some(true), Some(true), None]);
        let mut partials = Partials { groups: Vec::new() };
        partials.update_batch(&[Arc::clone(&values)], &[0, 0, 1, 1], Some(&filter), 3).unwrap();
        let seen = read_partials(&partials.evaluate(EmitTo::All).unwrap()).unwrap();
        assert_eq!(seen, [Partial::of(1.0), Partial::of(4.0), Partial::EMPTY]);
    }

    #[test]
    fn rows_as_states_merge_to_what_the_rows_themselves_give() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), None, Some(-3.0), Some(5.5)]));
        let groups = [1, 0, 1, 0];
        let mut direct = Partials { groups: Vec::new() };
        direct.update_batch(&[Arc::clone(&values)], &groups, None, 2).unwrap();
        let mut merged = Partials { groups: Vec::new() };
        let states = merged.convert_to_state(&[values], None).unwrap();
        merged.merge_batch(&states, &groups, 2).unwrap();
        assert_eq!(direct.groups, merged.groups);
    }

    #[test]
    fn emitting_the_first_groups_leaves_the_others() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        let mut partials = Partials { groups: Vec::new() };
        partials.update_batch(&[values], &[0, 1, 2], None, 3).unwrap();
        let first = read_partials(&partials.evaluate(EmitTo::First(2)).unwrap()).unwrap();
        assert_eq!(first, [Partial::of(1.0), Partial::of(2.0)]);
        assert_eq!(partials.groups, [Partial::of(3.0)]);
    }
}
