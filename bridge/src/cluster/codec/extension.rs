//! What protobuf has no message for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::DistributedCodec;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};

use super::bytes::{damaged, Reader, Writer};
use super::reading::{field_of_bytes, schema_of_bytes};
use super::writing::schema_to_bytes;
use super::{files, filters, refusal};
use super::{
    AWAITS_FILTERS, CAST, DISTRIBUTED, FILES, GIVES_FILTER, LEASED, LENT, NOTES_KEYS, PACED,
};
use crate::cluster::filters::{AwaitsFiltersExec, GivesFilterExec, NotesKeysExec};
use crate::damaged::files_of;
use crate::engine::EngineShared;
use crate::error::{Error, Result, Status};
use crate::nullable;
use crate::pacing::PacedExec;
use crate::remote::is_scan;
use crate::remote::leased::{LeasedExec, ShareExec};

/// What the bytes of a function begin with; one that is known by its name has none.
const NULLABLE: u8 = 1;
const NOT_NULL: u8 = 2;

/// The nodes and functions of this crate, and those of the distribution.
pub(super) struct Codec {
    engine: Arc<EngineShared>,
    /// Why a node or function cannot be sent: errors of a codec are told in other words.
    reason: Mutex<Option<String>>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("igloo's codec")
    }
}

impl Codec {
    pub(super) fn new(engine: &Arc<EngineShared>) -> Codec {
        Codec { engine: Arc::clone(engine), reason: Mutex::new(None) }
    }

    fn lend(&self, scan: &Arc<dyn ExecutionPlan>, parts: &[usize]) -> Result<Vec<u8>> {
        let mut out = Writer::default();
        out.u64(self.engine.tasks.scans.lend(scan));
        out.u32(parts.len())?;
        for part in parts {
            out.u32(*part)?;
        }
        Ok(out.bytes)
    }

    fn lent(&self, bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
        let mut from = Reader::new(bytes);
        let number = from.u64()?;
        let count = from.count(4)?;
        let parts = (0..count).map(|_| from.u32()).collect::<Result<Vec<usize>>>()?;
        from.end()?;
        let scan = self.engine.tasks.scans.lent(number, parts);
        scan.ok_or_else(|| damaged("It reads a database of another member"))
    }

    fn refuse<T>(&self, reason: String) -> DfResult<T> {
        let mut noted = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert_with(|| reason.clone());
        Err(Error::unsupported(reason).into())
    }

    pub(super) fn told(&self, error: DataFusionError) -> Box<Error> {
        match self.reason.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => Error::unsupported(reason),
            None => match Box::<Error>::from(error) {
                error if error.status == Status::Internal => {
                    Error::unsupported("the plan has a node that cannot be sent")
                        .with_detail(format!("{}.", error.message.trim_end_matches('.')))
                }
                error => error,
            },
        }
    }

    /// A function is known by its name on every member, or it is not sent.
    fn check_known(&self, name: &str, known: bool) -> DfResult<()> {
        match known {
            true => Ok(()),
            false => self.refuse(format!("function {name}() cannot be sent")),
        }
    }
}

/// Parts of a database that the reader opens itself.
fn write_parts(share: &ShareExec) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    out.data(&schema_to_bytes(&share.schema())?)?;
    let parts = share.bytes();
    out.u32(parts.len())?;
    parts.iter().try_for_each(|part| out.data(part))?;
    Ok(out.bytes)
}

fn read_parts(bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    let mut from = Reader::new(bytes);
    let schema = schema_of_bytes(from.data()?)?;
    let count = from.count(4)?;
    let part = |_| from.data().map(<[u8]>::to_vec);
    let parts = (0..count).map(part).collect::<Result<Vec<_>>>()?;
    from.end()?;
    Ok(Arc::new(LeasedExec::new(Arc::new(schema), parts)))
}

fn unknown_function<T>(name: &str) -> DfResult<T> {
    Err(damaged(&format!("There is no function {name}()")).into())
}

impl PhysicalExtensionCodec for Codec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<()> {
        let scan = node.downcast_ref::<DataSourceExec>();
        if let Some(config) = scan.and_then(files_of) {
            match files::encode(config, self, converter) {
                Ok(bytes) => {
                    buf.push(FILES);
                    buf.extend(bytes);
                    return Ok(());
                }
                Err(error) => return self.refuse(error.message),
            }
        }
        if node.downcast_ref::<PacedExec>().is_some() {
            buf.push(PACED);
            return Ok(());
        }
        if let Some(gives) = node.downcast_ref::<GivesFilterExec>() {
            buf.push(GIVES_FILTER);
            buf.extend(filters::write_gives(gives, self, converter)?);
            return Ok(());
        }
        if let Some(awaits) = node.downcast_ref::<AwaitsFiltersExec>() {
            buf.push(AWAITS_FILTERS);
            buf.extend(filters::write_awaits(awaits, self, converter)?);
            return Ok(());
        }
        if let Some(notes) = node.downcast_ref::<NotesKeysExec>() {
            buf.push(NOTES_KEYS);
            buf.extend(filters::write_notes(notes, self, converter)?);
            return Ok(());
        }
        if is_scan(&node) {
            let parts: Vec<usize> = (0..node.output_partitioning().partition_count()).collect();
            buf.push(LENT);
            buf.extend(self.lend(&node, &parts)?);
            return Ok(());
        }
        if let Some(share) = node.downcast_ref::<ShareExec>() {
            buf.push(if share.here { LENT } else { LEASED });
            buf.extend(match share.here {
                true => self.lend(&share.scan, &share.parts)?,
                false => write_parts(share)?,
            });
            return Ok(());
        }
        let mut bytes = vec![];
        match DistributedCodec.try_encode(Arc::clone(&node), &mut bytes, converter) {
            Ok(()) => {
                buf.push(DISTRIBUTED);
                buf.extend(bytes);
                Ok(())
            }
            Err(_) => self.refuse(
                refusal(&node).unwrap_or_else(|| format!("{} cannot be sent", node.name())),
            ),
        }
    }

    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        task: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (bytes.split_first(), inputs) {
            (Some((&DISTRIBUTED, rest)), _) => {
                DistributedCodec.try_decode(rest, inputs, task, converter)
            }
            (Some((&FILES, rest)), []) => {
                Ok(files::decode(rest, &self.engine, task, self, converter)?)
            }
            (Some((&PACED, [])), [input]) => Ok(Arc::new(PacedExec::new(Arc::clone(input)))),
            (Some((&GIVES_FILTER, rest)), [input]) => filters::read_gives(
                rest,
                input,
                &PhysicalPlanDecodeContext::new(task, self),
                converter,
            ),
            (Some((&AWAITS_FILTERS, rest)), [input]) => filters::read_awaits(
                rest,
                input,
                &PhysicalPlanDecodeContext::new(task, self),
                converter,
            ),
            (Some((&NOTES_KEYS, rest)), [input]) => filters::read_notes(
                rest,
                input,
                &PhysicalPlanDecodeContext::new(task, self),
                converter,
            ),
            (Some((&LENT, rest)), []) => Ok(self.lent(rest)?),
            (Some((&LEASED, rest)), []) => Ok(read_parts(rest)?),
            _ => Err(damaged("A node is of an unknown kind").into()),
        }
    }

    fn try_encode_expr(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
        _: &mut Vec<u8>,
        _: &PhysicalExprEncodeCtx<'_>,
    ) -> DfResult<()> {
        self.refuse(format!("{expr} cannot be sent"))
    }

    fn try_decode_expr(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        _: &PhysicalExprDecodeCtx<'_>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        match (bytes.split_first(), inputs) {
            (Some((&CAST, field)), [input]) => {
                let field = field_of_bytes(field)?;
                let input = Arc::clone(input);
                Ok(Arc::new(CastExpr::new_with_target_field(input, field, None)))
            }
            _ => Err(damaged("An expression is of an unknown kind").into()),
        }
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buf: &mut Vec<u8>) -> DfResult<()> {
        if nullable::is_nullable(function) {
            buf.push(NULLABLE);
            return Ok(());
        }
        if let Some(column) = nullable::column_of_not_null(function) {
            buf.push(NOT_NULL);
            buf.extend(column.as_bytes());
            return Ok(());
        }
        let name = function.name();
        self.check_known(name, self.engine.base.scalar_functions().contains_key(name))
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> DfResult<Arc<ScalarUDF>> {
        match bytes.split_first() {
            Some((&NULLABLE, [])) => Ok(nullable::nullable()),
            Some((&NOT_NULL, column)) => match std::str::from_utf8(column) {
                Ok(column) => Ok(nullable::not_null_function(column)),
                Err(_) => Err(damaged("A text is not UTF-8").into()),
            },
            None => match self.engine.base.scalar_functions().get(name) {
                Some(function) => Ok(Arc::clone(function)),
                None => unknown_function(name),
            },
            Some(_) => unknown_function(name),
        }
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, _: &mut Vec<u8>) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.aggregate_functions().contains_key(name))
    }

    fn try_decode_udaf(&self, name: &str, _: &[u8]) -> DfResult<Arc<AggregateUDF>> {
        let known = self.engine.base.aggregate_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }

    fn try_encode_udwf(&self, function: &WindowUDF, _: &mut Vec<u8>) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.window_functions().contains_key(name))
    }

    fn try_decode_udwf(&self, name: &str, _: &[u8]) -> DfResult<Arc<WindowUDF>> {
        let known = self.engine.base.window_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }

    fn try_encode_higher_order_function(
        &self,
        function: &HigherOrderUDF,
        _: &mut Vec<u8>,
    ) -> DfResult<()> {
        let name = function.name();
        self.check_known(name, self.engine.base.higher_order_functions().contains_key(name))
    }

    fn try_decode_higher_order_function(
        &self,
        name: &str,
        _: &[u8],
    ) -> DfResult<Arc<HigherOrderUDF>> {
        let known = self.engine.base.higher_order_functions().get(name);
        known.map_or_else(|| unknown_function(name), |function| Ok(Arc::clone(function)))
    }
}
