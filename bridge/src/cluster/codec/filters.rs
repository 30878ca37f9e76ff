//! The nodes of a join's filter that is read by another stage. The filter itself is an expression like
//! another: what shares it within a plan still does once the plan was read.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext,
    PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{FilterExecNode, PhysicalPlanNode};

use super::bytes::{damaged, Reader, Writer};
use super::reading::schema_of_bytes;
use super::writing::schema_to_bytes;
use crate::cluster::filters::{dynamic, AwaitsFiltersExec, GivesFilterExec, NotesKeysExec, Wanted};
use crate::error::Result;

type Converter<'a> = &'a dyn PhysicalProtoConverterExtension;

fn write_expr(
    expr: &Arc<dyn PhysicalExpr>,
    codec: &dyn PhysicalExtensionCodec,
    converter: Converter<'_>,
) -> DfResult<Vec<u8>> {
    let expr = Some(converter.physical_expr_to_proto(expr, codec)?);
    let holder = FilterExecNode { expr, ..FilterExecNode::default() };
    let kind = PhysicalPlanType::Filter(Box::new(holder));
    let mut bytes = vec![];
    PhysicalPlanNode { physical_plan_type: Some(kind) }.try_encode(&mut bytes)?;
    Ok(bytes)
}

fn read_expr(
    bytes: &[u8],
    schema: &Schema,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: Converter<'_>,
) -> DfResult<Arc<dyn PhysicalExpr>> {
    let kind = PhysicalPlanNode::try_decode(bytes)?.physical_plan_type;
    let expr = match &kind {
        Some(PhysicalPlanType::Filter(holder)) => holder.expr.as_ref(),
        _ => None,
    };
    let expr = expr.ok_or_else(|| damaged("An expression of a join is missing"))?;
    converter.proto_to_physical_expr(expr, schema, context)
}

fn write_filter(
    filter: &Arc<DynamicFilterPhysicalExpr>,
    codec: &dyn PhysicalExtensionCodec,
    converter: Converter<'_>,
) -> DfResult<Vec<u8>> {
    let filter: Arc<dyn PhysicalExpr> = Arc::<DynamicFilterPhysicalExpr>::clone(filter);
    write_expr(&filter, codec, converter)
}

fn read_filter(
    bytes: &[u8],
    schema: &Schema,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: Converter<'_>,
) -> DfResult<Arc<DynamicFilterPhysicalExpr>> {
    let filter = dynamic(read_expr(bytes, schema, context, converter)?);
    Ok(filter.ok_or_else(|| damaged("A filter of a join is something else"))?)
}

pub(super) fn write_notes(
    notes: &NotesKeysExec,
    codec: &dyn PhysicalExtensionCodec,
    converter: Converter<'_>,
) -> DfResult<Vec<u8>> {
    let mut out = Writer::default();
    out.u32(notes.tasks)?;
    out.option(notes.told_as);
    out.u32(notes.keys.len())?;
    for key in &notes.keys {
        out.data(&write_expr(key, codec, converter)?)?;
    }
    Ok(out.bytes)
}

pub(super) fn read_notes(
    bytes: &[u8],
    input: &Arc<dyn ExecutionPlan>,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: Converter<'_>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let mut from = Reader::new(bytes);
    let (tasks, told_as, schema) = (from.u32()?, from.option()?, input.schema());
    let mut keys = vec![];
    for _ in 0..from.count(4)? {
        keys.push(read_expr(from.data()?, &schema, context, converter)?);
    }
    from.end()?;
    if told_as.is_some() && keys.len() != 1 {
        return Err(damaged("A stage notes other than one key").into());
    }
    let notes = NotesKeysExec::new(Arc::clone(input), keys, tasks);
    Ok(Arc::new(notes.told_as(told_as)))
}

pub(super) fn write_gives(
    gives: &GivesFilterExec,
    codec: &dyn PhysicalExtensionCodec,
    converter: Converter<'_>,
) -> DfResult<Vec<u8>> {
    write_filter(&gives.filter, codec, converter)
}

pub(super) fn read_gives(
    bytes: &[u8],
    input: &Arc<dyn ExecutionPlan>,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: Converter<'_>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let filter = read_filter(bytes, &input.schema(), context, converter)?;
    Ok(Arc::new(GivesFilterExec { input: Arc::clone(input), filter, stages: vec![] }))
}

pub(super) fn write_awaits(
    awaits: &AwaitsFiltersExec,
    codec: &dyn PhysicalExtensionCodec,
    converter: Converter<'_>,
) -> DfResult<Vec<u8>> {
    let mut out = Writer::default();
    out.u32(awaits.wanted.len())?;
    for wanted in &awaits.wanted {
        out.data(&schema_to_bytes(&wanted.schema)?)?;
        out.data(&write_filter(&wanted.filter, codec, converter)?)?;
        out.u32(wanted.stage)?;
        out.flag(wanted.of_rows);
        out.u32(wanted.members.len())?;
        wanted.members.iter().try_for_each(|member| out.text(member))?;
    }
    Ok(out.bytes)
}

pub(super) fn read_awaits(
    bytes: &[u8],
    input: &Arc<dyn ExecutionPlan>,
    context: &PhysicalPlanDecodeContext<'_>,
    converter: Converter<'_>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let mut from = Reader::new(bytes);
    let mut wanted = vec![];
    for _ in 0..from.count(4)? {
        let schema = Arc::new(schema_of_bytes(from.data()?)?);
        let filter = read_filter(from.data()?, &schema, context, converter)?;
        let (stage, of_rows) = (from.u32()?, from.flag()?);
        let count = from.count(4)?;
        let member = |_| Ok(from.text()?.to_string());
        let members = (0..count).map(member).collect::<Result<Vec<String>>>()?;
        wanted.push(Arc::new(Wanted { filter, schema, stage, members, of_rows }));
    }
    from.end()?;
    Ok(Arc::new(AwaitsFiltersExec::new(Arc::clone(input), wanted)))
}
