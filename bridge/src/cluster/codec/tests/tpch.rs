//! The 22 queries of TPC-H, over small tables of the same shape, or over those of IGLOO_TPCH (a folder
//! with a Parquet file for each).

use super::*;

const TABLES: [(&str, &str); 8] = [
    ("region", "SELECT v AS r_regionkey, make_array('AFRICA','AMERICA','ASIA','EUROPE','MIDDLE EAST')[v + 1] AS r_name, 'r' || v AS r_comment FROM generate_series(0, 4) g(v)"),
    ("nation", "SELECT v AS n_nationkey, make_array('ALGERIA','ARGENTINA','BRAZIL','CANADA','EGYPT','ETHIOPIA','FRANCE','GERMANY','INDIA','INDONESIA','IRAN','IRAQ','JAPAN','JORDAN','KENYA','MOROCCO','MOZAMBIQUE','PERU','CHINA','ROMANIA','SAUDI ARABIA','VIETNAM','RUSSIA','UNITED KINGDOM','UNITED STATES')[v + 1] AS n_name, make_array(0,1,1,1,4,0,3,3,2,2,4,4,2,4,0,0,0,1,2,3,4,2,3,3,1)[v + 1]::bigint AS n_regionkey, 'n' AS n_comment FROM generate_series(0, 24) g(v)"),
    ("part", "SELECT v AS p_partkey, make_array('green','azure','blue','forest','red')[v % 5 + 1] || ' ' || make_array('linen','almond','plum')[v % 3 + 1] AS p_name, 'Manufacturer#' || (v % 5 + 1) AS p_mfgr, 'Brand#' || (v % 5 + 1) || (v * 7 % 5 + 1) AS p_brand, make_array('ECONOMY','PROMO','STANDARD','MEDIUM')[v % 4 + 1] || ' ' || make_array('ANODIZED','PLATED','POLISHED')[v % 3 + 1] || ' ' || make_array('STEEL','BRASS','COPPER')[v * 7 % 3 + 1] AS p_type, (v * 13 % 50 + 1)::int AS p_size, make_array('SM','MED','LG','JUMBO')[v % 4 + 1] || ' ' || make_array('BOX','CASE','PACK','BAG','PKG')[v * 3 % 5 + 1] AS p_container, (900 + v % 200)::decimal(15,2) AS p_retailprice, 'p' AS p_comment FROM generate_series(1, 400) g(v)"),
    ("supplier", "SELECT v AS s_suppkey, 'Supplier#' || v AS s_name, 'a' || v AS s_address, v * 7 % 25 AS s_nationkey, (10 + v * 7 % 25) || '-555-' || v AS s_phone, (v * 731 % 9000 - 900)::decimal(15,2) AS s_acctbal, CASE v % 11 WHEN 0 THEN 'x Customer y Complaints' ELSE 's' END AS s_comment FROM generate_series(1, 40) g(v)"),
    ("partsupp", "SELECT v / 4 + 1 AS ps_partkey, (v / 4 + 1 + v % 4 * 10) % 40 + 1 AS ps_suppkey, (v * 37 % 9999)::int AS ps_availqty, (v * 11 % 1000)::decimal(15,2) AS ps_supplycost, 'ps' AS ps_comment FROM generate_series(0, 1599) g(v)"),
    ("customer", "SELECT v AS c_custkey, 'Customer#' || v AS c_name, 'a' || v AS c_address, v % 25 AS c_nationkey, (10 + v % 25) || '-555-' || v AS c_phone, (v * 911 % 10000 - 999)::decimal(15,2) AS c_acctbal, make_array('BUILDING','AUTOMOBILE','MACHINERY','HOUSEHOLD','FURNITURE')[v % 5 + 1] AS c_mktsegment, 'c' AS c_comment FROM generate_series(1, 300) g(v)"),
    ("orders", "SELECT v AS o_orderkey, v * 17 % 200 + 1 AS o_custkey, make_array('F','O','P')[v % 3 + 1] AS o_orderstatus, (v * 7919 % 400000)::decimal(15,2) AS o_totalprice, (8035 + v * 37 % 2400)::int::date AS o_orderdate, make_array('1-URGENT','2-HIGH','3-MEDIUM','4-NOT SPECIFIED','5-LOW')[v % 5 + 1] AS o_orderpriority, 'Clerk' AS o_clerk, 0 AS o_shippriority, CASE v % 9 WHEN 0 THEN 'special x requests' ELSE 'o' END AS o_comment FROM generate_series(1, 3000) g(v)"),
    ("lineitem", "SELECT v / 4 + 1 AS l_orderkey, v * 29 % 400 + 1 AS l_partkey, (v * 29 % 400 + 1 + v % 4 * 10) % 40 + 1 AS l_suppkey, v % 4 + 1 AS l_linenumber, (v * 31 % 50 + 1 + CASE WHEN v / 4 % 97 = 0 THEN 70 ELSE 0 END)::decimal(15,2) AS l_quantity, (v * 101 % 90000 + 900)::decimal(15,2) AS l_extendedprice, ((v % 11) / 100.0)::decimal(15,2) AS l_discount, ((v % 9) / 100.0)::decimal(15,2) AS l_tax, make_array('A','N','R')[v % 3 + 1] AS l_returnflag, make_array('F','O')[v % 2 + 1] AS l_linestatus, (8035 + (v / 4 + 1) * 37 % 2400 + v % 90)::int::date AS l_shipdate, (8035 + (v / 4 + 1) * 37 % 2400 + v * 7 % 90)::int::date AS l_commitdate, (8035 + (v / 4 + 1) * 37 % 2400 + v * 3 % 100)::int::date AS l_receiptdate, make_array('DELIVER IN PERSON','COLLECT COD','NONE')[v % 3 + 1] AS l_shipinstruct, make_array('AIR','AIR REG','MAIL','SHIP','RAIL')[v % 5 + 1] AS l_shipmode, 'l' AS l_comment FROM generate_series(0, 11999) g(v)"),
];

fn world() -> World {
    let mut world = World::new();
    let given = std::env::var_os("IGLOO_TPCH");
    for (name, sql) in TABLES {
        if let Some(folder) = &given {
            let path = Path::new(folder).join(format!("{name}.parquet"));
            world.tables.insert(name.to_string(), Table::Files(vec![path]));
            continue;
        }
        let planned = world.plan(sql).unwrap();
        let physical = planned.physical().unwrap();
        let engine = Arc::clone(&world.session().engine);
        let batches = run(&engine, &physical.plan, physical.task).unwrap();
        world.insert(name, &batches, &physical.plan.schema());
    }
    world
}

#[test]
fn the_queries_of_tpch_give_the_same_rows_elsewhere() {
    let world = world();
    let mut figures = vec![];
    for number in 1..=22 {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tpch/queries");
        let sql = std::fs::read_to_string(format!("{folder}/q{number:02}.sql")).unwrap();
        let planned = world.plan(&sql.replace("{fraction}", "0.0001")).unwrap();
        match send_and_compare(&world, &planned, false) {
            Ok(Sent::Same(bytes, rows)) => figures.push((number, bytes, rows)),
            other => panic!("q{number}: {other:?}"),
        }
    }
    let bytes: usize = figures.iter().map(|(_, bytes, _)| bytes).sum();
    eprintln!("query, bytes, rows: {figures:?}; {bytes} bytes in all");
    let empty: Vec<_> = figures.iter().filter(|(_, _, rows)| *rows == 0).collect();
    assert!(empty.is_empty(), "{empty:?}");
    assert!(bytes / 22 < 16 << 10, "{bytes}");
}
