//! A filter that went through rows lets no row less through, and rows that nobody makes are refused.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array, StringArray, UInt8Array,
};
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    col, in_list, lit, BinaryExpr, CaseExpr, Column, IsNullExpr,
};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::FutureExt;
use tokio::sync::mpsc::UnboundedReceiver;

use super::bloom::{hashes_of, Bloom};
use super::*;

type Expr = Arc<dyn PhysicalExpr>;

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("v", DataType::Utf8, true),
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Decimal128(10, 2), true),
    ])
}

fn key(name: &str) -> Expr {
    col(name, &schema()).unwrap()
}

/// Numbers from -5 to 4,999, and NULL.
fn rows() -> RecordBatch {
    let numbers = || (-5..5000).map(Some).chain([None]);
    let text: ArrayRef =
        Arc::new(numbers().map(|n| n.map(|n| format!("t{}", n % 7))).collect::<StringArray>());
    let decimals = numbers().map(|n| n.map(i128::from)).collect::<Decimal128Array>();
    let columns: Vec<ArrayRef> = vec![
        Arc::clone(&text),
        Arc::new(numbers().collect::<Int64Array>()),
        text,
        Arc::new(decimals.with_precision_and_scale(10, 2).unwrap()),
    ];
    RecordBatch::try_new(Arc::new(schema()), columns).unwrap()
}

/// The rows that pass.
fn passing(test: &Expr) -> Vec<usize> {
    let rows = rows();
    let passes = test.evaluate(&rows).unwrap().into_array(rows.num_rows()).unwrap();
    let passes = passes.as_boolean();
    (0..rows.num_rows()).filter(|row| passes.is_valid(*row) && passes.value(*row)).collect()
}

fn both(a: Expr, b: Expr) -> Expr {
    Arc::new(BinaryExpr::new(a, Operator::And, b))
}

fn within(name: &str, from: i64, to: i64) -> Expr {
    let end = |operator, value: i64| -> Expr {
        Arc::new(BinaryExpr::new(key(name), operator, lit(value)))
    };
    both(end(Operator::GtEq, from), end(Operator::LtEq, to))
}

fn among(values: impl IntoIterator<Item = i64>) -> Expr {
    in_list(key("a"), values.into_iter().map(lit).collect(), &false, &schema()).unwrap()
}

fn or_null(name: &str, test: Expr) -> Expr {
    let null: Expr = Arc::new(IsNullExpr::new(key(name)));
    Arc::new(BinaryExpr::new(null, Operator::Or, test))
}

/// As a join tells of its partitions, whatever the value is by which it tells them apart.
fn partitions(each: &[Expr], other: bool) -> Expr {
    let base: Expr = Arc::new(BinaryExpr::new(key("a"), Operator::Modulo, lit(each.len() as i64)));
    let branches = each.iter().enumerate().map(|(at, e)| (lit(at as i64), Arc::clone(e)));
    let case = CaseExpr::try_new(Some(base), branches.collect(), Some(lit(other)));
    Arc::new(case.unwrap())
}

/// What is left of a filter once it went through rows; None: all rows pass.
fn travelled(expr: &Expr, names: &[&str]) -> Option<Expr> {
    let keys: Vec<Expr> = names.iter().map(|name| key(name)).collect();
    let schema = schema();
    let over = Over { keys: &keys, schema: &schema };
    let batch = Keys::of(expr, &over).to_batch(&over).unwrap();
    Keys::of_batch(&batch, &over).unwrap().test(&over).unwrap()
}

#[test]
fn filter_that_travelled_lets_through_what_it_did() {
    let few = || among([3, 4, 4, 4, 70, 9000]);
    let many = || among((0..4000).step_by(30));
    let list = both(within("a", 3, 9000), few());
    for filter in [
        within("a", 10, 20),
        few(),
        many(),
        list.clone(),
        both(within("a", 0, 4000), many()),
        or_null("a", list),
        or_null("a", or_null("a", many())),
        partitions(&[lit(false), lit(false)], false),
        lit(false),
    ] {
        let after = travelled(&filter, &["a"]).unwrap();
        assert_eq!(passing(&filter), passing(&after), "{filter} became {after}");
    }
}

#[test]
fn partitions_of_a_task_may_have_more_keys_together_than_one_of_them() {
    let most = 150;
    let filter =
        partitions(&[among(0..most), among(most..2 * most), among(2 * most..3 * most)], false);
    let after = travelled(&filter, &["a"]).unwrap();
    let passing = passing(&after);
    assert_eq!((5..455).find(|row| !passing.contains(row)), None, "{after}");
    assert!(passing.len() < 500, "{} rows pass", passing.len());
}

#[test]
fn filter_that_travelled_is_never_narrower() {
    let odd: Expr = Arc::new(BinaryExpr::new(key("a"), Operator::NotEq, lit(5_i64)));
    for filter in [
        partitions(&[among([2, 4, 6]), both(within("a", 1, 99), among([1, 99]))], false),
        partitions(&[within("a", 0, 10), lit(false), within("a", 4000, 4100)], false),
        partitions(&[within("a", 0, 10), odd.clone()], false),
        both(within("a", 1, 40), odd.clone()),
        both(odd, within("b", 1, 40)),
        or_null("b", within("a", 1, 40)),
    ] {
        let Some(after) = travelled(&filter, &["a"]) else { continue };
        let after_rows = passing(&after);
        let lost = passing(&filter).into_iter().find(|row| !after_rows.contains(row));
        assert_eq!(lost, None, "{filter} became {after}");
    }
}

#[test]
fn what_is_not_known_passes_everything() {
    for filter in [
        lit(true),
        key("a"),
        partitions(&[among([2])], true),
        partitions(&[among([2]), key("a")], false),
        or_null("a", lit(true)),
        within("c", 1, 2),
        among(0..=150),
    ] {
        assert!(travelled(&filter, &["a"]).is_none(), "{filter}");
    }
}

#[test]
fn text_and_numbers_and_several_keys_travel() {
    let schema = schema();
    let keys = [key("a"), key("b"), key("c")];
    let over = Over { keys: &keys, schema: &schema };
    let rows = rows();
    for count in [2, 100, 500] {
        // The first rows themselves are the keys, as a batch of another member.
        let first = rows.slice(5, count);
        let keys_batch = |at: usize| {
            let all: Vec<ArrayRef> = vec![
                arrow::array::new_null_array(rows.column(at).data_type(), 3),
                first.column(at).clone(),
            ];
            let all: Vec<&dyn Array> = all.iter().map(AsRef::as_ref).collect();
            arrow::compute::concat(&all).unwrap()
        };
        let says: Vec<u8> = [2, 5, 6].into_iter().chain(std::iter::repeat_n(8, count)).collect();
        let says: ArrayRef = Arc::new(UInt8Array::from(says));
        let batch = RecordBatch::try_from_iter([
            ("says", says),
            ("bits", no_bits(count + 3)),
            ("k0", keys_batch(1)),
            ("k1", keys_batch(2)),
            ("k2", keys_batch(3)),
        ]);
        let test = Keys::of_batch(&batch.unwrap(), &over).unwrap().test(&over).unwrap().unwrap();
        let passing = passing(&test);
        assert_eq!((5..5 + count).find(|row| !passing.contains(row)), None, "{test}");
        assert!(passing.len() <= if count <= 100 { count } else { count + 100 }, "{test}");
        let again = Keys::of(&test, &over).to_batch(&over).unwrap();
        if count <= 100 {
            assert_eq!(again.num_rows(), count + 3, "{test}");
        }
    }
}

fn no_bits(rows: usize) -> ArrayRef {
    Arc::new(BinaryArray::from(vec![None; rows]))
}

#[test]
fn keys_that_were_noted_travel_where_they_are_too_many_for_a_list() {
    let schema = schema();
    for names in [&["a"][..], &["b"], &["a", "b", "c"]] {
        let keys: Vec<Expr> = names.iter().map(|name| key(name)).collect();
        let over = Over { keys: &keys, schema: &schema };
        let noted = |from: usize, rows: usize| {
            let rows = super::tests::rows().slice(from, rows);
            let values =
                keys.iter().map(|key| key.evaluate(&rows).unwrap().into_array(rows.num_rows()));
            let hashes = hashes_of(&values.collect::<DfResult<Vec<_>>>().unwrap()).unwrap();
            let bounds =
                Keys::of(&within("a", -5, 4999), &Over { keys: &[key("a")], schema: &schema });
            let all = match names {
                ["a"] => bounds,
                _ => Keys::of(&or_null("a", within("a", -5, 4999)), &over),
            };
            let batch = all.within(Bloom::of(&hashes, 2)).to_batch(&over).unwrap();
            Keys::of_batch(&batch, &over).unwrap()
        };
        let all = noted(100, 900).or(noted(2000, 700)).or(Keys::nothing());
        let Some(test) = all.quick_test(&over).unwrap() else {
            // Nothing is known of the least and the greatest text, and so of no key.
            assert_eq!(names, ["b"]);
            continue;
        };
        let passing = passing(&test);
        let wanted = (100..1000).chain(2000..2700);
        assert_eq!(wanted.clone().find(|row| !passing.contains(row)), None, "{test}");
        assert!(passing.len() < wanted.count() + 200, "{} rows pass", passing.len());
        let slow = all.test(&over).unwrap().unwrap();
        assert!(passing.len() >= self::passing(&slow).len());
        // A task that has not noted its keys, or lets all through.
        let bounds = Keys::of(&within("a", 0, 10), &over);
        assert!(all.clone().or(bounds).quick_test(&over).unwrap().is_none());
        assert!(all.or(Keys::everything()).quick_test(&over).unwrap().is_none());
    }
}

#[test]
fn filters_of_several_tasks_pass_what_one_of_them_passes() {
    let schema = schema();
    let keys = [key("a")];
    let over = Over { keys: &keys, schema: &schema };
    let of = |expr: &Expr| Keys::of(expr, &over);
    let lists =
        [both(within("a", 2, 3), among([2, 3])), both(within("a", 70, 90), among([70, 90]))];
    let all = of(&lists[0]).or(of(&lists[1])).or(Keys::nothing());
    assert_eq!(passing(&all.test(&over).unwrap().unwrap()), [7, 8, 75, 95]);
    let wide = all.clone().or(of(&within("a", 80, 100)));
    assert_eq!(passing(&wide.test(&over).unwrap().unwrap()), (7..=105).collect::<Vec<_>>());
    let nulls = Keys::nothing().or(of(&or_null("a", lists[0].clone())));
    assert_eq!(passing(&nulls.test(&over).unwrap().unwrap()), [7, 8, 5005]);
    assert!(all.or(Keys::everything()).test(&over).unwrap().is_none());
}

#[test]
fn rows_that_no_member_makes_are_refused() {
    let schema = schema();
    let keys = [key("a")];
    let over = Over { keys: &keys, schema: &schema };
    let given = |says: &[u8], bits: Option<&[u8]>, values: ArrayRef| {
        // The filter in every row: only where it is said to be one is it looked at.
        let bits: ArrayRef = Arc::new(BinaryArray::from(vec![bits; says.len()]));
        let says: ArrayRef = Arc::new(UInt8Array::from(says.to_vec()));
        RecordBatch::try_from_iter([("says", says), ("bits", bits), ("k0", values)]).unwrap()
    };
    let batch = |says: &[u8], values| given(says, Some(&[1; 16]), values);
    let numbers = |count: usize| -> ArrayRef { Arc::new(Int64Array::from(vec![1; count])) };
    for says in [
        &[0][..],
        &[1],
        &[0, 4],
        &[2, 5, 6],
        &[2, 5, 6, 8, 8],
        &[2, 4, 5, 6, 8],
        &[3, 5, 6],
        &[3, 7, 5, 6],
        &[3, 4, 7, 5, 6],
        &[2, 7, 5, 6, 8],
    ] {
        assert!(Keys::of_batch(&batch(says, numbers(says.len())), &over).is_ok(), "{says:?}");
    }
    let many: Vec<u8> = [2, 5, 6]
        .into_iter()
        .chain(std::iter::repeat_n(8, super::keys::ALL_KEYS_MAX + 1))
        .collect();
    let wrong = [
        &[][..],
        &[4],
        &[5],
        &[7],
        &[8],
        &[9],
        &[0, 0],
        &[0, 7],
        &[1, 7],
        &[0, 8],
        &[2],
        &[2, 5],
        &[2, 6, 5],
        &[2, 5, 6, 4],
        &[3, 5, 6, 7],
        &[3, 5, 6, 8],
        &[3, 7, 4, 5, 6],
        &[3, 7, 7, 5, 6],
        &[2, 4, 4, 5, 6],
        &[2, 5, 6, 255],
        many.as_slice(),
    ];
    for says in wrong {
        let told = Keys::of_batch(&batch(says, numbers(says.len())), &over).unwrap_err();
        assert_eq!(told.message, damaged().message, "{says:?}");
    }
    for bits in [None, Some(&[1; 3][..]), Some(&[])] {
        let told = Keys::of_batch(&given(&[3, 7, 5, 6], bits, numbers(4)), &over).unwrap_err();
        assert_eq!(told.message, damaged().message, "{bits:?}");
    }
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    assert!(Keys::of_batch(&batch(&[0], text), &over).is_err());
    let only: ArrayRef = Arc::new(UInt8Array::from(vec![0]));
    let only = RecordBatch::try_from_iter([("says", Arc::clone(&only))]).unwrap();
    assert!(Keys::of_batch(&only, &over).is_err());
    let bare = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert!(Keys::of_batch(&bare, &over).is_err());
}

#[test]
fn reader_names_a_filter_by_eight_bytes_or_none() {
    assert_eq!(named(&[]).unwrap(), None);
    assert_eq!(named(&head_of(77)).unwrap(), Some(77));
    for head in [&[1][..], &[0; 7], &[0; 9]] {
        assert!(named(head).is_err(), "{head:?}");
    }
}

/// A partition whose batches come as the test gives them.
#[derive(Debug)]
struct Fed(SchemaRef, Mutex<Option<UnboundedReceiver<RecordBatch>>>);

impl PartitionStream for Fed {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let given = lock(&self.1).take().unwrap();
        let rows = futures::stream::unfold(given, |mut given| async {
            Some((Ok(given.recv().await?), given))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0), rows))
    }
}

#[tokio::test]
async fn keys_of_a_stage_are_told_when_all_partitions_have_ended_or_when_there_are_too_many() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let batch = |from: i64, rows: i64| {
        let values: ArrayRef = Arc::new((from..from + rows).collect::<Int64Array>());
        RecordBatch::try_new(Arc::clone(&schema), vec![values]).unwrap()
    };
    let fed = || {
        let (feed, given) = tokio::sync::mpsc::unbounded_channel();
        let partition = Fed(Arc::clone(&schema), Mutex::new(Some(given)));
        (feed, Arc::new(partition) as Arc<dyn PartitionStream>)
    };
    for too_many in [false, true] {
        let ((feed, one), (other_feed, other)) = (fed(), fed());
        let input = StreamingTableExec::try_new(
            Arc::clone(&schema),
            vec![one, other],
            None,
            vec![],
            false,
            None,
        );
        let key: Expr = Arc::new(Column::new("a", 0));
        let keys = vec![Arc::clone(&key)];
        let notes = NotesKeysExec::new(Arc::new(input.unwrap()), keys, 1).told_as(Some(1));
        let of = |partition| notes.execute(partition, Arc::default()).unwrap();
        let (mut rows, mut other_rows) = (of(0), of(1));

        feed.send(batch(0, 600_000)).unwrap();
        drop(feed);
        while rows.next().await.is_some() {}
        assert!(notes.all().now_or_never().is_none(), "a partition has not ended");
        let more = if too_many { 600_000 } else { 1000 };
        other_feed.send(batch(2_000_000, more)).unwrap();
        other_rows.next().await.unwrap().unwrap();
        if too_many {
            assert!(matches!(notes.all().now_or_never(), Some(None)), "it will not be known");
            continue;
        }
        let told = async {
            drop(other_feed);
            while other_rows.next().await.is_some() {}
        };
        let (all, ()) = tokio::join!(notes.all(), told);
        let over = Over { keys: &[key], schema: &schema };
        let sent = Keys::noted(all.unwrap()).to_batch(&over).unwrap();
        let test = Keys::of_batch(&sent, &over).unwrap().quick_test(&over).unwrap().unwrap();
        let passing = |rows: &RecordBatch| {
            test.evaluate(rows)
                .unwrap()
                .into_array(rows.num_rows())
                .unwrap()
                .as_boolean()
                .true_count()
        };
        assert_eq!(passing(&batch(0, 600_000)) + passing(&batch(2_000_000, 1000)), 601_000);
        assert!(passing(&batch(600_000, 100_000)) < 10_000);
    }
}
