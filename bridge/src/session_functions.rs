//! Functions whose value is the session's: version(), current_user and their kin.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A text that is fixed for the session. Immutable, so that it is folded into plans where they are
/// made.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fixed {
    name: &'static str,
    text: String,
    signature: Signature,
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.text.clone()))))
    }
}

pub(crate) fn all(version: &str, user: &str, catalog: &str, schema: &str) -> Vec<Arc<ScalarUDF>> {
    [
        ("version", version),
        ("current_user", user),
        ("session_user", user),
        ("user", user),
        ("current_catalog", catalog),
        ("current_database", catalog),
        ("current_schema", schema),
    ]
    .map(|(name, text)| {
        let signature = Signature::nullary(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Fixed { name, text: text.to_string(), signature }))
    })
    .to_vec()
}
