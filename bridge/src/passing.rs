//! What DataFusion asks of each node and has no defaults for.

/// The methods of an `ExecutionPlan` that gives the rows of its field `input`, in their order.
macro_rules! passes_on {
    () => {
        fn properties(&self) -> &Arc<PlanProperties> {
            self.input.properties()
        }

        fn maintains_input_order(&self) -> Vec<bool> {
            vec![true]
        }

        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![&self.input]
        }
    };
}

/// The method of an `ExecutionPlan` without expressions that a rule looks at.
macro_rules! has_no_expressions {
    () => {
        fn apply_expressions(
            &self,
            _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
        ) -> DfResult<TreeNodeRecursion> {
            Ok(TreeNodeRecursion::Continue)
        }
    };
}

/// The methods of an `ExecutionPlan` without inputs, and without such expressions.
macro_rules! has_no_input {
    () => {
        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![]
        }

        $crate::passing::has_no_expressions!();

        fn with_new_children(
            self: Arc<Self>,
            _: Vec<Arc<dyn ExecutionPlan>>,
        ) -> DfResult<Arc<dyn ExecutionPlan>> {
            Ok(self)
        }
    };
}

pub(crate) use {has_no_expressions, has_no_input, passes_on};
