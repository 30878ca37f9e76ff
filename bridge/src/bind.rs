//! `igb_plan_bind`: values in place of the parameters.

use std::ffi::c_void;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StructArray, UInt64Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::ffi::{from_ffi, FFI_ArrowArray, FFI_ArrowSchema};
use datafusion::common::{ParamValues, ScalarValue};

use crate::abi::{boundary, igb_error};
use crate::error::{Error, Result, Status};
use crate::plan::{igb_plan, promise, type_without_views, Again, Plan};

/// The layout of struct ArrowArray: arrow-rs keeps its fields to itself.
#[repr(C)]
struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut FFI_ArrowArray,
    dictionary: *mut FFI_ArrowArray,
    release: Option<unsafe extern "C" fn(*mut RawArray)>,
    private_data: *mut c_void,
}

const _: () = assert!(std::mem::size_of::<RawArray>() == std::mem::size_of::<FFI_ArrowArray>());

unsafe extern "C" fn release_nothing(array: *mut RawArray) {
    unsafe { (*array).release = None };
}

/// A view of a caller's array, which stays the caller's.
///
/// # Safety
/// `array` is valid, and longer than what is made from the view.
unsafe fn borrow(array: *const FFI_ArrowArray) -> FFI_ArrowArray {
    unsafe {
        let mut copy = std::ptr::read(array.cast::<RawArray>());
        copy.release = Some(release_nothing);
        std::mem::transmute::<RawArray, FFI_ArrowArray>(copy)
    }
}

/// # Safety
/// `values` and `schema` are valid.
unsafe fn bind(
    plan: &Arc<Plan>,
    values: *const FFI_ArrowArray,
    schema: *const FFI_ArrowSchema,
    row: i64,
) -> Result<Plan> {
    let given = unsafe { from_ffi(borrow(values), &*schema) }?;
    if !matches!(given.data_type(), DataType::Struct(_)) {
        return Err(Error::new(
            Status::InvalidArgument,
            "22023",
            "parameters must come as a struct array",
        ));
    }
    // The caller's buffers are not to be trusted further than their schema.
    given.validate_full()?;
    let given = StructArray::from(given);
    let row =
        u64::try_from(row).ok().filter(|row| (*row as usize) < given.len()).ok_or_else(|| {
            Error::new(Status::InvalidArgument, "22023", "there is no such row of parameters")
        })?;
    let wanted = plan.parameters.len();
    if given.num_columns() != wanted {
        return Err(Error::new(
            Status::InvalidArgument,
            "08P01",
            format!("{} parameters are given, but the statement has {wanted}", given.num_columns()),
        ));
    }
    let mut literals = Vec::with_capacity(wanted);
    for (column, kind) in given.columns().iter().zip(&plan.parameters) {
        literals.push(literal(column, row, kind)?);
    }
    // Values of the types that were inferred change nothing of what was promised, but for NULL.
    let is_settled = plan.is_settled
        && !literals.iter().any(ScalarValue::is_null)
        && literals.iter().map(ScalarValue::data_type).eq(plan.parameters.iter().cloned());
    let logical = match &plan.logical {
        Some(logical) if wanted > 0 => {
            let logical = logical.as_ref().clone();
            Some(Arc::new(logical.with_param_values(ParamValues::from(literals))?))
        }
        other => other.clone(),
    };
    let promised = match &logical {
        Some(logical) if wanted > 0 && !is_settled => {
            let state = &plan.session.state;
            promise(logical, &[], state, plan.session.views)?.0
        }
        _ => Arc::clone(&plan.promised),
    };
    Ok(Plan {
        session: Arc::clone(&plan.session),
        description: Arc::clone(&plan.description),
        accesses: Arc::clone(&plan.accesses),
        logical,
        promised,
        parameters: Vec::new(),
        is_settled: true,
        lookup: None,
        again: Again::new(plan.again.lasts),
    })
}

/// One value, copied out of the caller's memory and cast to the parameter's type.
fn literal(column: &ArrayRef, row: u64, kind: &DataType) -> Result<ScalarValue> {
    let one = take(column, &UInt64Array::from(vec![row]), None)?;
    // A view type would share the caller's buffers.
    let one = cast(&one, &type_without_views(one.data_type()))?;
    let value = ScalarValue::try_from_array(&one, 0)?;
    let given = value.data_type();
    let fraction = given.is_floating() || given.is_decimal();
    if kind.is_null() || &given == kind || (kind.is_integer() && fraction) {
        return Ok(value);
    }
    let made = value.cast_to(kind)?;
    // Where digits or a time of day would be lost, the expression adapts to the value instead.
    let narrows = (fraction && kind.is_decimal()) || (given.is_temporal() && kind.is_temporal());
    let loses = narrows && made.cast_to(&given).map_or(true, |back| back != value);
    Ok(if loses { value } else { made })
}

/// A new plan with row `row` of `values` (struct array, one child per parameter, cast as needed) in
/// place of the parameters. Borrows values and schema.
/// Returns 0 and gives *ret_plan (igb_plan_free); INVALID_ARGUMENT for another number of
/// parameters or a row that is not there; DATA_ERROR where a value does not fit its parameter.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_plan_bind(
    plan: *const igb_plan,
    values: *const FFI_ArrowArray,
    schema: *const FFI_ArrowSchema,
    row: i64,
    ret_plan: *mut *mut igb_plan,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let bound = bind(&(*plan).shared, values, schema, row)?;
            ret_plan.write(Box::into_raw(Box::new(igb_plan { shared: Arc::new(bound) })));
            Ok(())
        })
    }
}
