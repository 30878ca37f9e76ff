//! Bytes that nobody made, plans that cannot be sent, and what bytes must not hold.

use std::time::{Duration, Instant};

use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{PhysicalExtensionNode, PhysicalPlanNode};

use super::*;

fn world() -> World {
    let mut world = World::new();
    for (name, sql) in [
        ("t", "SELECT v AS id, v % 7 AS k, 'name ' || v AS s FROM generate_series(1, 500) g(v)"),
        ("u", "SELECT v % 7 AS k, v * 1.5 AS x FROM generate_series(1, 40) g(v)"),
    ] {
        let planned = world.plan(sql).unwrap();
        let physical = planned.physical().unwrap();
        let engine = Arc::clone(&world.session().engine);
        let batches = run(&engine, &physical.plan, physical.task).unwrap();
        world.insert(name, &batches, &physical.plan.schema());
    }
    world
}

const STATEMENTS: [&str; 4] = [
    "SELECT t.s, sum(u.x) FROM t JOIN u ON t.k = u.k WHERE t.id < 100 GROUP BY t.s ORDER BY 2 DESC LIMIT 5",
    "SELECT count(*) FROM t, u WHERE t.k < u.k AND t.s LIKE 'name 1%' AND t.id IN (SELECT k FROM u)",
    "SELECT *, row_number() OVER (PARTITION BY k ORDER BY id) FROM t UNION ALL SELECT 1, 2, 'x', 4",
    "SELECT id, (SELECT max(x) FROM u) FROM t WHERE s ~ '^name [0-9]+$' AND id::text <> '7'",
];

fn bytes_of(world: &World, sql: &str) -> Vec<u8> {
    let planned = world.plan(sql).unwrap();
    let physical = planned.physical().unwrap();
    planning(|| encode(&world.session().engine, &physical.plan)).unwrap()
}

fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    }
}

/// Truncations, flips, and pieces of one plan within another: an error or a plan, and not much memory.
#[test]
fn damaged_bytes_give_an_error_or_a_plan_and_never_a_panic() {
    let world = world();
    let (_, task) = world.task();
    let all: Vec<Vec<u8>> = STATEMENTS.iter().map(|sql| bytes_of(&world, sql)).collect();
    let mut random = numbers(7);
    let began = Instant::now();
    let (mut errors, mut plans) = (0, 0);
    for round in 0..4000 {
        let mut bytes = all[round % all.len()].clone();
        match round / all.len() % 4 {
            0 => bytes.truncate(random(bytes.len())),
            1 => {
                let at = random(bytes.len());
                bytes[at] ^= 1 << random(8);
            }
            2 => {
                for _ in 0..random(8) + 2 {
                    let at = random(bytes.len());
                    bytes[at] = random(256) as u8;
                }
            }
            _ => {
                let other = &all[random(all.len())];
                let (at, from) = (random(bytes.len()), random(other.len()));
                let count = random(64).min(bytes.len() - at).min(other.len() - from);
                bytes[at..at + count].copy_from_slice(&other[from..from + count]);
            }
        }
        match planning(|| decode(there(), &bytes, &task, &Over::default())) {
            Ok(_) => plans += 1,
            Err(error) => {
                assert!(!error.message.contains("failed unexpectedly"), "{error:?}");
                assert_eq!(error.status, Status::Internal, "{error:?}");
                errors += 1;
            }
        }
    }
    assert!(errors > 2000 && plans > 0, "{errors} errors, {plans} plans");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn every_prefix_of_a_plan_is_refused() {
    let world = world();
    let (_, task) = world.task();
    let bytes = bytes_of(&world, STATEMENTS[0]);
    assert!(planning(|| decode(there(), &bytes, &task, &Over::default())).is_ok());
    for end in 0..bytes.len() {
        assert!(decode(there(), &bytes[..end], &task, &Over::default()).is_err(), "{end}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(decode(there(), &longer, &task, &Over::default()).is_err());
}

/// The parts of a table, and a table of parts.
fn parts_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (reading, _) = Reading::new(bytes).unwrap();
    let parts = reading.parts.borrow();
    parts.iter().map(|part| part.unwrap().to_vec()).collect()
}

fn table_of(parts: &[Vec<u8>]) -> Vec<u8> {
    let writing = Writing::default();
    *writing.parts.borrow_mut() = parts.to_vec();
    writing.finish().unwrap()
}

fn node(kind: PhysicalPlanType) -> Vec<u8> {
    let writing = Writing::default();
    writing.put(kind).unwrap();
    let part = writing.parts.borrow()[0].clone();
    part
}

fn part(number: u32) -> PhysicalPlanNode {
    let node = [&[PART][..], &number.to_le_bytes()].concat();
    let extension = PhysicalExtensionNode { node, inputs: vec![] };
    PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Extension(extension)) }
}

#[test]
fn rings_doubles_strangers_and_versions_are_refused() {
    use datafusion_proto::protobuf::*;
    let world = world();
    let (_, task) = world.task();
    let refused = |bytes: &[u8], why: &str| {
        let error = planning(|| decode(there(), bytes, &task, &Over::default())).unwrap_err();
        assert!(error.detail.contains(why), "{error:?}");
    };
    let union = |inputs: &[u32]| {
        let inputs = inputs.iter().map(|number| part(*number)).collect();
        node(PhysicalPlanType::Union(UnionExecNode { inputs }))
    };
    refused(&table_of(&[union(&[0, 0])]), "missing, or used twice");
    refused(&table_of(&[union(&[1]), union(&[0])]), "missing, or used twice");
    refused(&table_of(&[union(&[7])]), "missing, or used twice");
    let good = bytes_of(&world, "SELECT 1 AS a");
    let twice = [parts_of(&good), parts_of(&good)].concat();
    refused(&table_of(&twice), "not used");
    let mut other = good.clone();
    other[3] += 1;
    refused(&other, "another version");
    // What would read any file, write, or panic.
    let conf = FileScanExecConf { object_store_url: "file:///".into(), ..Default::default() };
    let scan = CsvScanExecNode { base_conf: Some(conf.clone()), ..Default::default() };
    refused(&table_of(&[node(PhysicalPlanType::CsvScan(scan))]), "unknown kind");
    let avro = AvroScanExecNode { base_conf: Some(conf) };
    refused(&table_of(&[node(PhysicalPlanType::AvroScan(avro))]), "unknown kind");
    let sink = Box::new(CsvSinkExecNode::default());
    refused(&table_of(&[node(PhysicalPlanType::CsvSink(sink))]), "unknown kind");
    let many = RepartitionExecNode {
        input: None,
        partitioning: Some(Partitioning {
            partition_method: Some(partitioning::PartitionMethod::RoundRobin(u64::MAX)),
        }),
        preserve_order: false,
    };
    let PhysicalPlanType::Repartition(mut root) = PhysicalPlanType::Repartition(Box::new(many))
    else {
        unreachable!()
    };
    let mut parts = parts_of(&good);
    root.input = Some(Box::new(part(parts.len() as u32 - 1)));
    parts.push(node(PhysicalPlanType::Repartition(root)));
    refused(&table_of(&parts), "too many partitions");
}

#[test]
fn deep_plans_are_sent_and_deeper_ones_are_not() {
    let world = world();
    let nested = |levels: usize| {
        (0..levels).fold("SELECT id FROM t".to_string(), |inner, level| {
            format!("SELECT id + {level} AS id FROM ({inner} LIMIT {}) x{level}", 1000 - level)
        })
    };
    let planned = world.plan(&nested(30)).unwrap();
    assert!(matches!(send_and_compare(&world, &planned, true), Ok(Sent::Same(..))));
    let sum = vec!["id"; 300].join(" + ");
    let planned = world.plan(&format!("SELECT {sum} FROM t")).unwrap();
    assert!(matches!(send_and_compare(&world, &planned, false), Ok(Sent::Same(..))));
    let sum = vec!["id"; 450].join(" + ");
    let planned = world.plan(&format!("SELECT {sum} FROM t")).unwrap();
    let stays = send_and_compare(&world, &planned, false).unwrap();
    assert_eq!(stays, Sent::Stays("the plan nests too deeply to be sent".into()));
}

/// Where dd has plans written and read: on a thread of the runtime, whose stack is no planner's.
#[test]
fn the_deepest_plan_is_written_and_read_on_threads_of_the_engine() {
    let world = world();
    let sum = vec!["id"; 390].join(" + ");
    let planned = world.plan(&format!("SELECT {sum} FROM t")).unwrap();
    let physical = planned.physical().unwrap();
    let engine = Arc::clone(&world.session().engine);
    let (plan, (_, task)) = (physical.plan, world.task());
    let cpu = &there().pools.cpu;
    let read = cpu.spawn(async move {
        let bytes = encode(&engine, &plan)?;
        decode(there(), &bytes, &task, &Over::default())
    });
    assert!(cpu.block_on(read).unwrap().is_ok());
}

#[test]
fn what_cannot_be_sent_says_why() {
    let world = world();
    for (sql, why) in [
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r",
            "a recursive query is not spread",
        ),
        ("SELECT * FROM t LIMIT 5000000000", "its LIMIT or OFFSET is too large to be sent"),
        ("SELECT * FROM t OFFSET 5000000000", "its LIMIT or OFFSET is too large to be sent"),
    ] {
        let planned = world.plan(sql).unwrap();
        let stays = send_and_compare(&world, &planned, false).unwrap();
        assert_eq!(stays, Sent::Stays(why.into()), "{sql}");
    }
}

/// Of two windows in opposite orders one is turned around, which no message tells.
#[test]
fn window_functions_are_sent_right_or_not_at_all() {
    let world = world();
    let functions = [
        "lag(id, 2, -1)",
        "lead(nullif(k, 3)) IGNORE NULLS",
        "lag(nullif(k, 3)) IGNORE NULLS",
        "first_value(nullif(k, 3)) IGNORE NULLS",
        "last_value(id)",
        "nth_value(id, 3)",
        "nth_value(nullif(k, 3), 2) IGNORE NULLS",
        "array_agg(id)",
        "sum(id)",
        "sum(DISTINCT k)",
        "count(*) FILTER (WHERE k > 3)",
        "string_agg(s, ',')",
        "ntile(4)",
        "rank()",
        "cume_dist()",
    ];
    let frames = [
        "",
        "ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
        "RANGE BETWEEN 3 PRECEDING AND CURRENT ROW",
    ];
    let (mut same, mut stay) = (0, 0);
    for function in functions {
        for frame in frames {
            let both = ["id", "id DESC"].map(|order| {
                let name = order.replace(' ', "_");
                format!("{function} OVER (PARTITION BY k ORDER BY {order} {frame}) AS {name}")
            });
            for columns in [both[0].clone(), both.join(", ")] {
                let Ok(planned) = world.plan(&format!("SELECT id, {columns} FROM t")) else {
                    continue;
                };
                match send_and_compare(&world, &planned, false) {
                    Ok(Sent::Same(_, rows)) => {
                        assert_eq!(rows, 500);
                        same += 1;
                    }
                    Ok(Sent::Stays(why)) => {
                        assert_eq!(why, "one of its window functions cannot be sent");
                        stay += 1;
                    }
                    // Not every function can do every frame.
                    Ok(Sent::Fails(state)) => assert_eq!(state, "0A000", "{columns}"),
                    other => panic!("{columns}: {other:?}"),
                }
            }
        }
    }
    assert!(same > 50 && stay > 5, "{same} the same, {stay} stay");
}

#[test]
fn settings_go_with_a_task_and_others_are_refused() {
    let mut world = world();
    world.session = new_session("Europe/Berlin");
    let (pairs, task) = world.task();
    let options = task.session_config().options();
    assert_eq!(options.execution.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(options.execution.target_partitions, 3);
    assert!(pairs.len() < 8, "{pairs:?}");
    let at = "to_timestamp(1719784800 + id * 3600)::timestamptz";
    let sql =
        format!("SELECT {at}::text, date_trunc('day', {at})::text, extract(hour FROM {at}) FROM t");
    let planned = world.plan(&sql).unwrap();
    assert!(matches!(send_and_compare(&world, &planned, false), Ok(Sent::Same(_, 500))));
    let bad = [
        ("datafusion.catalog.information_schema", "true"),
        ("igloo.secret", "1"),
        ("datafusion.execution.batch_size", "0"),
        ("datafusion.execution.nothing", "1"),
    ];
    for (key, value) in bad {
        let pairs = [(key.to_string(), value.to_string())];
        assert!(task_config(there(), &pairs).is_err(), "{key}");
    }
}

#[test]
fn nested_loops_over_there_end_with_their_own_task() {
    let world = world();
    let sql = "SELECT count(*) FROM t a, t b WHERE a.id < b.id";
    let planned = world.plan(sql).unwrap();
    let physical = planned.physical().unwrap();
    let bytes = planning(|| encode(&world.session().engine, &physical.plan)).unwrap();
    let (_, task) = world.task();
    let over = Over::default();
    let plan = decode(there(), &bytes, &task, &over).unwrap();
    assert!(shown(&plan).contains("NestedLoopJoinExec"), "{}", shown(&plan));
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = run(there(), &plan, Arc::clone(&task)).unwrap_err();
    assert_eq!(error.sqlstate, "57014");
    assert_eq!(
        cells(&run(&world.session().engine, &physical.plan, physical.task).unwrap()),
        ["124750"]
    );
}

#[test]
fn functions_with_a_state_keep_it() {
    let world = world();
    let sent = |sql: &str| send_and_compare(&world, &world.plan(sql).unwrap(), false).unwrap();
    let table =
        |value: &str| format!("CREATE TABLE x (b BIGINT NOT NULL) AS SELECT {value} FROM t");
    assert!(matches!(sent(&table("nullif(id, 1000)")), Sent::Same(_, 500)));
    assert_eq!(sent(&table("nullif(id, 7)")), Sent::Fails("23502".into()));
    let sql = "SELECT (SELECT k + 1 FROM t WHERE id = 3000) IS NULL FROM u";
    assert!(matches!(sent(sql), Sent::Same(_, 40)));
}
