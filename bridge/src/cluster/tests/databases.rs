//! Tables of databases beside files: the files are read by all, a database by who was asked.

use super::*;
use crate::remote::abi::{IGB_REACH_ANYWHERE, IGB_REACH_HERE, IGB_REACH_HOST};
use crate::remote::tests as remote;
use crate::remote::tests::{lookup, source, until, Source};

/// Names of the files, and t of a source.
struct Both {
    folder: String,
    source: &'static Source,
}

unsafe extern "C" fn either(
    ctx: *mut std::ffi::c_void,
    level: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let both = unsafe { &*ctx.cast::<Both>() };
    let name = unsafe { strings(parts, count) }.unwrap().pop().unwrap();
    if name == "t" {
        return unsafe {
            lookup(remote::ctx_of(both.source), level, parts, count, ret_table, ret_error)
        };
    }
    let folder = (&raw const both.folder).cast_mut().cast();
    unsafe { parquet_table(folder, level, parts, count, ret_table, ret_error) }
}

struct Mixed {
    subject: Subject,
    source: &'static Source,
}

impl Mixed {
    fn new(count: usize, source: Source) -> Mixed {
        Mixed::of(count, source, Faults::default())
    }

    fn of(count: usize, source: Source, faults: Faults) -> Mixed {
        let mixed = Mixed { subject: Subject::new(count, faults), source: source.leak() };
        *mixed.subject.members.cluster.source.lock().unwrap() = Some(mixed.source);
        mixed
    }

    /// Parts that others than who was asked have opened.
    fn leased(&self) -> usize {
        self.subject.members.cluster.leased.load(Ordering::Relaxed)
    }

    fn plan(&self, sql: &str) -> Planned {
        let folder = self.subject.tables.0 .0.to_str().unwrap().to_string();
        let both = Box::leak(Box::new(Both { folder, source: self.source }));
        let names = igb_names {
            ctx: (both as *mut Both).cast(),
            table: Some(either),
            table_function: Some(table_function),
        };
        plan_by(self.subject.session, sql, names, std::ptr::null())
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    fn rows(&self, sql: &str) -> Result<Vec<String>, Failure> {
        Ok(sorted(lines(&remote::run(self.source, &self.plan(sql))?)))
    }

    fn explain(&self, sql: &str, flags: u32) -> String {
        remote::explained_plan(self.source, &self.plan(sql), flags)
    }

    /// Nothing of a source is held any more, though nobody asks the members anything.
    fn check_left(&self) {
        until(|| self.source.held() == (0, 0));
    }
}

fn stages_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("stage ")).collect()
}

const STATEMENTS: [&str; 16] = [
    "SELECT count(*), sum(big.id), sum(t.c) FROM big JOIN t ON big.k = t.a",
    "SELECT t.b, count(*), sum(big.price) FROM t JOIN big ON big.k = t.a GROUP BY t.b",
    "SELECT count(*), count(t.a), sum(big.id) FROM big LEFT JOIN t ON big.k = t.a",
    "SELECT count(*), count(big.id), sum(t.c) FROM big RIGHT JOIN t ON big.n = t.a",
    "SELECT count(*), count(big.id), count(t.c) FROM big FULL JOIN t ON big.n = t.a",
    "SELECT count(*), sum(id) FROM big WHERE k IN (SELECT a FROM t WHERE c > 930)",
    "SELECT count(*), sum(id) FROM big WHERE k NOT IN (SELECT a FROM t WHERE a < 50)",
    "SELECT count(*), sum(id) FROM big WHERE k NOT IN (SELECT a FROM t)",
    "SELECT a, b FROM t WHERE EXISTS (SELECT 1 FROM big WHERE big.n = t.a)",
    "SELECT a, b FROM t WHERE NOT EXISTS (SELECT 1 FROM big WHERE big.n = t.a)",
    "SELECT count(*), sum(x), min(x), max(x) FROM (SELECT id AS x FROM big UNION ALL SELECT c FROM t) u",
    "SELECT x % 10, count(*) FROM (SELECT id AS x FROM big UNION ALL SELECT c FROM t \
     UNION ALL SELECT a FROM t WHERE a > 90) u GROUP BY x % 10",
    "SELECT k FROM big UNION SELECT a FROM t",
    "SELECT k FROM big EXCEPT SELECT a FROM t",
    "SELECT count(*) FROM big WHERE id < (SELECT max(c) FROM t)",
    "SELECT s, count(*) FROM (SELECT k, sum(price) AS s FROM big GROUP BY k) g \
     JOIN t x ON g.k = x.a JOIN t y ON x.a = y.a GROUP BY s",
];

#[test]
fn statements_over_files_and_databases_have_the_rows_of_one_member() {
    for parts in [1, 3] {
        let one = Mixed::new(1, source().with_parts(parts));
        let three = Mixed::new(3, source().with_parts(parts));
        for sql in STATEMENTS {
            let here = one.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let before = three.subject.members.plans();
            let there = three.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            assert!(three.subject.members.plans() > before, "it stayed: {sql}");
            assert_eq!(here, there, "{sql}");
            three.check_left();
        }
        // A branch that needs all of its rows in one task has its stage to itself.
        let first = "SELECT sum(x), count(*) FROM ((SELECT id AS x FROM big) UNION ALL \
                     (SELECT c FROM t ORDER BY c LIMIT 7)) u";
        assert_eq!(one.rows(first).unwrap(), three.rows(first).unwrap());
    }
}

#[test]
fn database_is_read_by_one_task_of_who_was_asked() {
    let three = Mixed::new(3, source());
    for sql in STATEMENTS {
        let text = three.explain(sql, IGB_EXPLAIN_INDENT);
        let stages = stages_of(&text);
        assert!(stages.iter().any(|stage| stage.contains("tasks 3: ")), "{sql}\n{text}");
        assert!(text.contains("\ndatabases: m-0-00000000\n"), "{text}");
        assert!(text.contains("\nremote scan of pg.s.t: 1 part"), "{text}");
        // A stage of one task that is not of files alone is here.
        let alone = stages.iter().filter(|stage| stage.contains("tasks 1: "));
        assert!(alone.clone().all(|stage| stage.ends_with("m-0-00000000")), "{sql}\n{text}");
    }
    let opened = three.source.opened();
    three.rows(STATEMENTS[10]).unwrap();
    assert_eq!(three.source.opened(), opened + 1);
}

#[test]
fn parts_of_a_database_are_read_by_all_members_that_may() {
    let one = Mixed::new(1, source().with_parts(3));
    let three = Mixed::new(3, source().with_parts(3).with_reach(IGB_REACH_ANYWHERE));
    for sql in STATEMENTS {
        let before = three.leased();
        let there = three.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(one.rows(sql).unwrap(), there, "{sql}");
        // NULL among the rows of NOT IN matters to all others: they are in one task.
        let alone = sql.contains("NOT IN");
        assert!(three.leased() > before || alone, "who was asked read all of it: {sql}");
        three.check_left();
    }
    let text = three.explain(STATEMENTS[0], IGB_EXPLAIN_INDENT);
    let line = text.lines().find(|line| line.starts_with("databases: m-0-00000000, m-"));
    assert_eq!(line.map(|line| line.split(", ").count()), Some(3), "{text}");
    assert!(!text.contains("databases are not read"), "{text}");
}

#[test]
fn parts_of_a_database_stay_where_others_may_not_be_told_or_could_not_reach_it() {
    let public = Faults { in_public: true, ..Faults::default() };
    let far = Faults { far: Some(2), ..Faults::default() };
    let cases = [
        (IGB_REACH_ANYWHERE, public, 1, "TLS or a Unix socket"),
        (IGB_REACH_HERE, Faults::default(), 1, ""),
        (IGB_REACH_HOST, far, 2, ""),
        (IGB_REACH_ANYWHERE, far, 3, ""),
    ];
    for (reach, faults, readers, why) in cases {
        let three = Mixed::of(3, source().with_parts(3).with_reach(reach), faults);
        let text = three.explain(STATEMENTS[0], IGB_EXPLAIN_INDENT);
        let line = text.lines().find(|line| line.starts_with("databases: ")).unwrap();
        assert_eq!(line.split(", ").count(), readers, "{text}");
        let kept = text.lines().find(|line| line.starts_with("databases are not read by"));
        assert_eq!(kept.is_some(), !why.is_empty(), "{text}");
        assert!(kept.is_none_or(|kept| kept.contains(why)), "{text}");
        three.rows(STATEMENTS[0]).unwrap();
        assert_eq!(three.leased() > 0, readers > 1);
    }
    let both = Faults { far: Some(1), ..Faults::default() };
    let two = Mixed::of(2, source().with_parts(3).with_reach(IGB_REACH_HOST), both);
    let text = two.explain(STATEMENTS[0], IGB_EXPLAIN_INDENT);
    assert!(text.contains("others are on other hosts than the database"), "{text}");
}

#[test]
fn statement_over_a_database_alone_is_spread_where_it_is_in_parts() {
    let sql = "SELECT a % 7, count(*), sum(c) FROM t GROUP BY 1";
    let one = Mixed::new(1, source().with_parts(3));
    let three = Mixed::new(3, source().with_parts(3).with_reach(IGB_REACH_ANYWHERE));
    let text = three.explain(sql, IGB_EXPLAIN_INDENT);
    assert!(stages_of(&text).iter().any(|stage| stage.contains("tasks 3: ")), "{text}");
    assert_eq!(one.rows(sql).unwrap(), three.rows(sql).unwrap());
    let single = Mixed::new(3, source().with_reach(IGB_REACH_ANYWHERE));
    let text = single.explain(sql, IGB_EXPLAIN_INDENT);
    assert!(text.contains("\nlocal: it reads no files\n"), "{text}");
}

#[test]
fn explain_analyze_counts_the_rows_of_a_database_once() {
    for reach in [IGB_REACH_HERE, IGB_REACH_ANYWHERE] {
        explain_analyze_counts_once(reach);
    }
}

fn explain_analyze_counts_once(reach: i32) {
    let three = Mixed::new(3, source().with_parts(2).with_reach(reach));
    for sql in [STATEMENTS[0], STATEMENTS[10]] {
        let text = three.explain(sql, IGB_EXPLAIN_ANALYZE);
        let fetched = text.lines().find(|line| line.starts_with("  fetched: ")).unwrap();
        assert!(fetched.starts_with("  fetched: 100 rows, "), "{text}");
        let json = three.explain(sql, IGB_EXPLAIN_ANALYZE | IGB_EXPLAIN_JSON);
        assert!(json.contains("\"rows_fetched\":100,"), "{json}");
        assert!(json.contains("\"databases\":[\"m-0-00000000\""), "{json}");
    }
    three.check_left();
}

#[test]
fn parts_of_a_database_are_no_more_than_its_connections() {
    let twice = "SELECT count(*) FROM big JOIN t x ON big.k = x.a JOIN t y ON x.c = y.c";
    let few = Mixed::new(3, source().with_parts(2).with_open_max(3));
    let text = few.explain(twice, IGB_EXPLAIN_INDENT);
    assert_eq!(text.matches("\nremote scan of pg.s.t: 1 part").count(), 2, "{text}");
    assert!(!stages_of(&text).is_empty(), "{text}");
    let one = Mixed::new(1, source());
    assert_eq!(few.rows(twice).unwrap(), one.rows(twice).unwrap());
    let fewer = Mixed::new(3, source().with_open_max(1));
    let text = fewer.explain(twice, IGB_EXPLAIN_INDENT);
    let reason = "\nlocal: it reads a database in more parts than it can have connections\n";
    assert!(text.contains(reason), "{text}");
    assert_eq!(fewer.rows(twice).unwrap(), one.rows(twice).unwrap());
}

#[test]
fn error_of_a_database_comes_whole_from_its_task() {
    let three = Mixed::new(3, source().failing_after(2));
    for sql in [STATEMENTS[1], STATEMENTS[10]] {
        let told = three.rows(sql).unwrap_err();
        assert_eq!((told.state.as_str(), told.message.as_str()), ("08006", "the connection broke"));
        three.check_left();
    }
}

#[test]
fn database_is_left_when_nobody_wants_its_rows() {
    let three = Mixed::new(3, source().waiting_after(2));
    let sql = "SELECT id AS x FROM big UNION ALL SELECT c FROM t";
    let plan = three.plan(sql);
    let execution = remote::execution_of(three.source);
    run_some(&plan, &execution);
    drop(plan);
    three.check_left();
}
