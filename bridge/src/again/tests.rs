use datafusion::execution::context::SessionContext;

use super::*;
use crate::testing;

async fn logical(ctx: &SessionContext, sql: &str) -> LogicalPlan {
    testing::plan(ctx, sql).await.unwrap()
}

async fn physical(ctx: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let plan = logical(ctx, sql).await;
    ctx.state().create_physical_plan(&plan).await.unwrap()
}

#[tokio::test]
async fn what_is_of_a_moment_does_not_last() {
    let ctx = testing::tables().await.unwrap();
    for (sql, expected) in [
        ("SELECT 1", true),
        ("SELECT upper(y), sum(x) OVER () FROM t WHERE id > 1", true),
        ("SELECT now()", false),
        ("SELECT id FROM t WHERE current_date > DATE '2020-01-01'", false),
        ("SELECT random()", false),
        ("SELECT id FROM t WHERE id = (SELECT max(id) FROM u WHERE now() IS NULL)", false),
        ("SELECT count(*) FROM t GROUP BY random()", false),
    ] {
        assert_eq!(lasts(&logical(&ctx, sql).await), expected, "{sql}");
    }
}

#[tokio::test]
async fn a_large_plan_does_not_last() {
    let ctx = testing::tables().await.unwrap();
    let columns = vec!["1"; LASTING_NODES_MAX].join(", ");
    assert!(!lasts(&logical(&ctx, &format!("SELECT {columns}")).await));
}

#[tokio::test]
async fn only_what_is_done_at_once_is_small() {
    let ctx = testing::tables().await.unwrap();
    let many = (0..SMALL_ROWS_MAX + 1).map(|i| format!("({i})")).collect::<Vec<_>>().join(", ");
    let many = format!("SELECT * FROM (VALUES {many}) AS v (a)");
    for (sql, expected) in [
        ("SELECT 1 AS a, 'x' AS b", true),
        ("SELECT 1 WHERE false", true),
        ("SELECT a FROM (VALUES (1), (2), (3)) AS v (a) WHERE a > 1 LIMIT 1", true),
        ("SELECT CAST(a AS double) FROM (VALUES (1), (2)) AS v (a)", true),
        ("SELECT * FROM (VALUES ('x')) AS v (a) WHERE a LIKE '%x%'", false),
        ("SELECT repeat(a, 100000) FROM (VALUES ('x')) AS v (a)", false),
        ("SELECT a || a FROM (VALUES ('x')) AS v (a)", false),
        ("SELECT * FROM generate_series(1, 10)", false),
        ("SELECT sum(a) FROM (VALUES (1), (2)) AS v (a)", false),
        ("SELECT a.a FROM (VALUES (1)) AS a (a), (VALUES (1)) AS b (a)", false),
        ("SELECT id FROM t", true),
        (&many, false),
    ] {
        assert_eq!(is_small(&physical(&ctx, sql).await), expected, "{sql}");
    }
    assert!(!may_be_small(&logical(&ctx, "SELECT id FROM t").await), "it has a table");
}

#[tokio::test]
async fn each_execution_has_metrics_of_its_own() {
    let ctx = testing::tables().await.unwrap();
    let plan = physical(&ctx, "SELECT a FROM (VALUES (1), (2), (3)) AS v (a) WHERE a > 1").await;
    for _ in 0..3 {
        let one = fresh(&plan).unwrap();
        let rows = datafusion::physical_plan::collect(Arc::clone(&one), ctx.task_ctx()).await;
        assert_eq!(rows.unwrap().iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
        assert_eq!(one.metrics().unwrap().output_rows(), Some(2));
    }
}
