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

pub(crate) use passes_on;
