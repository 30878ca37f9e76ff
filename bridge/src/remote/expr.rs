//! Conjuncts in C's words: DataFusion's `Expr` as a tree of `igb_expr`.
//!
//! A literal becomes one row of its type. What has no form there is opaque, with its text. After
//! type coercion nothing tells the casts of the statement from those that the engine needed: a cast
//! is a cast.

use std::ffi::c_char;

use arrow::array::Array;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, Like, Operator};

use super::abi::*;
use crate::names::scrub;
use crate::plan::type_without_views;

/// What LIKE escapes with where the statement does not say.
const LIKE_ESCAPE: char = '\\';

/// Trees and all that they point to. The boxes do not move with the object.
#[derive(Default)]
pub(crate) struct Trees {
    roots: Vec<*const igb_expr>,
    #[allow(clippy::vec_box)] // C holds their addresses
    nodes: Vec<Box<igb_expr>>,
    #[allow(clippy::vec_box)]
    schemas: Vec<(DataType, Box<FFI_ArrowSchema>)>,
    #[allow(clippy::vec_box)]
    arrays: Vec<Box<FFI_ArrowArray>>,
    names: Vec<Box<str>>,
    lists: Vec<Box<[*const igb_expr]>>,
}

/// Types that a tree names are few; beyond these a schema is made anew each time.
const SCHEMAS_COMPARED: usize = 16;

/// Whether a conjunct may be shown to a source at all: what a source is asked must be the same each
/// time, and be there when the scan is planned.
pub(crate) fn may_be_offered(conjunct: &Expr) -> bool {
    let refused = conjunct.exists(|node| {
        Ok(node.is_volatile_node()
            || matches!(
                node,
                Expr::ScalarSubquery(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
            ))
    });
    matches!(refused, Ok(false))
}

/// The conjunct with its columns named as the table names them.
pub(crate) fn unqualified(conjunct: &Expr) -> Expr {
    let stripped = conjunct.clone().transform(|node| match node {
        Expr::Column(Column { relation: Some(_), name, .. }) => {
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(name))))
        }
        node => Ok(Transformed::no(node)),
    });
    stripped.map_or_else(|_| conjunct.clone(), |done| done.data)
}

/// A conjunct's text, for people: texts in quotes.
pub(crate) fn text_of(conjunct: &Expr) -> String {
    let quoted = conjunct.clone().transform(|node| match &node {
        Expr::Literal(value, None) => match value.try_as_str() {
            Some(Some(text)) => {
                let text = format!("'{}'", text.replace('\'', "''"));
                Ok(Transformed::yes(Expr::Literal(ScalarValue::Utf8(Some(text)), None)))
            }
            _ => Ok(Transformed::no(node)),
        },
        _ => Ok(Transformed::no(node)),
    });
    let shown = quoted.map_or_else(|_| conjunct.clone(), |done| done.data);
    let text = shown.human_display().to_string();
    scrub(&text)
}

impl Trees {
    /// `conjuncts` are unqualified, over the columns of `schema`.
    pub fn new<'a>(conjuncts: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Trees {
        let mut trees = Trees::default();
        for conjunct in conjuncts {
            let root = trees.add(conjunct, schema);
            trees.roots.push(root);
        }
        trees
    }

    pub fn as_ptr(&self) -> *const *const igb_expr {
        self.roots.as_ptr()
    }

    pub fn len(&self) -> usize {
        self.roots.len()
    }

    fn add(&mut self, expr: &Expr, schema: &DFSchema) -> *const igb_expr {
        if let Expr::Alias(alias) = expr {
            return self.add(&alias.expr, schema);
        }
        let kind = expr.get_type(schema).unwrap_or(DataType::Null);
        let mut node = self.node(&type_without_views(&kind));
        if self.fill(&mut node, expr, schema).is_none() {
            node.kind = IGB_EXPR_OPAQUE;
            self.name(&mut node, text_of(expr));
        }
        self.keep(node)
    }

    fn node(&mut self, kind: &DataType) -> igb_expr {
        igb_expr {
            kind: IGB_EXPR_OPAQUE,
            op: IGB_OP_NONE,
            flags: 0,
            column: -1,
            r#type: self.schema(kind),
            value: std::ptr::null(),
            name: std::ptr::null(),
            name_length: 0,
            escape: 0,
            reserved0: 0,
            children: std::ptr::null(),
            children_count: 0,
        }
    }

    fn keep(&mut self, node: igb_expr) -> *const igb_expr {
        let node = Box::new(node);
        let place: *const igb_expr = node.as_ref();
        self.nodes.push(node);
        place
    }

    fn schema(&mut self, kind: &DataType) -> *const FFI_ArrowSchema {
        let known = self.schemas.iter().take(SCHEMAS_COMPARED).find(|(known, _)| known == kind);
        if let Some((_, schema)) = known {
            return schema.as_ref();
        }
        let exported = FFI_ArrowSchema::try_from(kind);
        let schema = Box::new(exported.unwrap_or_else(|_| FFI_ArrowSchema::empty()));
        let place: *const FFI_ArrowSchema = schema.as_ref();
        self.schemas.push((kind.clone(), schema));
        place
    }

    fn name(&mut self, node: &mut igb_expr, name: String) {
        let name = name.into_boxed_str();
        node.name = name.as_ptr() as *const c_char;
        node.name_length = name.len();
        self.names.push(name);
    }

    fn children<'a>(
        &mut self,
        node: &mut igb_expr,
        children: impl IntoIterator<Item = &'a Expr>,
        schema: &DFSchema,
    ) {
        let list: Box<[_]> = children.into_iter().map(|child| self.add(child, schema)).collect();
        node.children = list.as_ptr();
        node.children_count = list.len();
        self.lists.push(list);
    }

    /// Fills in what is not the type; None where there is no form for the expression.
    fn fill(&mut self, node: &mut igb_expr, expr: &Expr, schema: &DFSchema) -> Option<()> {
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        match expr {
            Expr::Column(column) => {
                let at = schema.fields().iter().position(|field| field.name() == &column.name)?;
                node.kind = IGB_EXPR_COLUMN;
                node.column = i32::try_from(at).ok()?;
                self.name(node, scrub(&column.name));
            }
            Expr::Literal(value, _) => self.literal(node, value)?,
            Expr::Cast(cast) => {
                node.kind = IGB_EXPR_CAST;
                self.children(node, [cast.expr.as_ref()], schema);
            }
            Expr::TryCast(cast) => {
                node.kind = IGB_EXPR_CAST;
                node.flags = IGB_EXPR_TRY;
                self.children(node, [cast.expr.as_ref()], schema);
            }
            Expr::BinaryExpr(binary) => self.binary(node, binary, schema)?,
            Expr::Not(inner) => {
                node.kind = IGB_EXPR_NOT;
                self.children(node, [inner.as_ref()], schema);
            }
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => {
                node.kind = IGB_EXPR_IS_NULL;
                self.children(node, [inner.as_ref()], schema);
            }
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                node.kind = IGB_EXPR_IS_NULL;
                node.flags = IGB_EXPR_NEGATED;
                self.children(node, [inner.as_ref()], schema);
            }
            Expr::IsTrue(inner) => self.truth(node, inner, true, IGB_OP_NOT_DISTINCT, schema),
            Expr::IsNotTrue(inner) => self.truth(node, inner, true, IGB_OP_DISTINCT, schema),
            Expr::IsFalse(inner) => self.truth(node, inner, false, IGB_OP_NOT_DISTINCT, schema),
            Expr::IsNotFalse(inner) => self.truth(node, inner, false, IGB_OP_DISTINCT, schema),
            Expr::Negative(inner) => {
                node.kind = IGB_EXPR_ARITHMETIC;
                node.op = IGB_OP_SUBTRACT;
                self.children(node, [inner.as_ref()], schema);
            }
            Expr::Between(between) => {
                node.kind = IGB_EXPR_BETWEEN;
                node.flags = flag(between.negated, IGB_EXPR_NEGATED);
                let children = [&between.expr, &between.low, &between.high];
                self.children(node, children.map(Box::as_ref), schema);
            }
            Expr::InList(list) => {
                node.kind = IGB_EXPR_IN_LIST;
                node.flags = flag(list.negated, IGB_EXPR_NEGATED);
                self.children(node, std::iter::once(list.expr.as_ref()).chain(&list.list), schema);
            }
            Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive }) => {
                node.kind = IGB_EXPR_LIKE;
                node.flags = flag(*negated, IGB_EXPR_NEGATED)
                    | flag(*case_insensitive, IGB_EXPR_IGNORE_CASE);
                node.escape = escape_char.unwrap_or(LIKE_ESCAPE) as i32;
                self.children(node, [expr.as_ref(), pattern.as_ref()], schema);
            }
            Expr::Case(case) => self.case(node, case, schema),
            Expr::ScalarFunction(call) => {
                // Those that `arithmetic` writes in an operator's place are called as it is.
                node.kind = IGB_EXPR_ARITHMETIC;
                match (call.name(), call.args.len()) {
                    ("+", 2) => node.op = IGB_OP_ADD,
                    ("-", 2) | ("negate", 1) => node.op = IGB_OP_SUBTRACT,
                    ("*", 2) => node.op = IGB_OP_MULTIPLY,
                    ("/", 2) => node.op = IGB_OP_DIVIDE,
                    (name, _) => {
                        node.kind = IGB_EXPR_FUNCTION;
                        self.name(node, name.to_string());
                    }
                }
                self.children(node, &call.args, schema);
            }
            _ => return None,
        }
        Some(())
    }

    /// Values of view and dictionary types go out as what they stand for.
    fn literal(&mut self, node: &mut igb_expr, value: &ScalarValue) -> Option<()> {
        let row = value.to_array().ok()?;
        let kind = match type_without_views(row.data_type()) {
            DataType::Dictionary(_, value) => *value,
            kind => kind,
        };
        let row = if row.data_type() == &kind { row } else { cast(&row, &kind).ok()? };
        let array = Box::new(FFI_ArrowArray::new(&row.to_data()));
        node.kind = IGB_EXPR_LITERAL;
        node.r#type = self.schema(&kind);
        node.value = array.as_ref();
        self.arrays.push(array);
        Some(())
    }

    fn binary(
        &mut self,
        node: &mut igb_expr,
        binary: &BinaryExpr,
        schema: &DFSchema,
    ) -> Option<()> {
        let (kind, op) = operator(binary.op)?;
        node.kind = kind;
        node.op = op;
        if kind == IGB_EXPR_AND || kind == IGB_EXPR_OR {
            let operands = operands_of(binary);
            self.children(node, operands, schema);
        } else {
            self.children(node, [binary.left.as_ref(), binary.right.as_ref()], schema);
        }
        Some(())
    }

    /// `inner IS [NOT] TRUE` and its like compare with a constant, NULL being a value.
    fn truth(
        &mut self,
        node: &mut igb_expr,
        inner: &Expr,
        value: bool,
        op: i32,
        schema: &DFSchema,
    ) {
        node.kind = IGB_EXPR_COMPARE;
        node.op = op;
        let constant = Expr::Literal(ScalarValue::Boolean(Some(value)), None);
        self.children(node, [inner, &constant], schema);
    }

    fn case(&mut self, node: &mut igb_expr, case: &Case, schema: &DFSchema) {
        node.kind = IGB_EXPR_CASE;
        let mut children: Vec<&Expr> = Vec::new();
        if let Some(operand) = &case.expr {
            node.flags |= IGB_EXPR_HAS_OPERAND;
            children.push(operand);
        }
        for (when, then) in &case.when_then_expr {
            children.extend([when.as_ref(), then.as_ref()]);
        }
        if let Some(otherwise) = &case.else_expr {
            node.flags |= IGB_EXPR_HAS_ELSE;
            children.push(otherwise);
        }
        self.children(node, children, schema);
    }
}

/// Kind and operator of a node; None for operators that C has no word for.
fn operator(op: Operator) -> Option<(i32, i32)> {
    Some(match op {
        Operator::And => (IGB_EXPR_AND, IGB_OP_NONE),
        Operator::Or => (IGB_EXPR_OR, IGB_OP_NONE),
        Operator::Eq => (IGB_EXPR_COMPARE, IGB_OP_EQ),
        Operator::NotEq => (IGB_EXPR_COMPARE, IGB_OP_NE),
        Operator::Lt => (IGB_EXPR_COMPARE, IGB_OP_LT),
        Operator::LtEq => (IGB_EXPR_COMPARE, IGB_OP_LE),
        Operator::Gt => (IGB_EXPR_COMPARE, IGB_OP_GT),
        Operator::GtEq => (IGB_EXPR_COMPARE, IGB_OP_GE),
        Operator::IsDistinctFrom => (IGB_EXPR_COMPARE, IGB_OP_DISTINCT),
        Operator::IsNotDistinctFrom => (IGB_EXPR_COMPARE, IGB_OP_NOT_DISTINCT),
        Operator::Plus => (IGB_EXPR_ARITHMETIC, IGB_OP_ADD),
        Operator::Minus => (IGB_EXPR_ARITHMETIC, IGB_OP_SUBTRACT),
        Operator::Multiply => (IGB_EXPR_ARITHMETIC, IGB_OP_MULTIPLY),
        Operator::Divide => (IGB_EXPR_ARITHMETIC, IGB_OP_DIVIDE),
        Operator::Modulo => (IGB_EXPR_ARITHMETIC, IGB_OP_MODULO),
        _ => return None,
    })
}

/// The operands of a chain of one operator, in their order.
fn operands_of(binary: &BinaryExpr) -> Vec<&Expr> {
    let mut operands = Vec::new();
    let mut left_to_do = vec![binary.right.as_ref(), binary.left.as_ref()];
    while let Some(next) = left_to_do.pop() {
        match next {
            Expr::BinaryExpr(inner) if inner.op == binary.op => {
                left_to_do.extend([inner.right.as_ref(), inner.left.as_ref()]);
            }
            operand => operands.push(operand),
        }
    }
    operands
}
