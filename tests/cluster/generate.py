#!/usr/bin/env python3
"""Random SELECT statements over the tables of tables.py, each from its own seed.

    tests/cluster/generate.py 17         the query number 17 of the run
    tests/cluster/generate.py --count 5  the first five

They are written so that there is one right answer, whoever computes it and in whichever
order rows come: a LIMIT has an order by every column, floating point sums are exact, and
nothing is used that Igloo (PostgreSQL's rules) and DuckDB define differently. How many rows
a relation has is estimated on the way, so that no join grows without bound."""

import argparse
import dataclasses
import random

import tables

SEED = "igloo"
ROWS_MAX = 60_000  # of a relation, estimated
RESULT_MAX = 10_000  # of a result; of a larger one sums are compared
PRODUCT_MAX = 400_000  # of rows that are compared pair by pair
NUMERIC = ("int", "dec", "dbl")
ORDERED = ("int", "dec", "dbl", "text", "date", "ts")
KINDS = (*ORDERED, "bool")  # an average is of none: no sum of averages is exact


@dataclasses.dataclass
class Column:
    sql: str
    kind: str
    distinct: float


@dataclasses.dataclass
class Relation:
    sql: str
    columns: list
    rows: float
    exact: bool = False  # no more rows than that


@dataclasses.dataclass
class Query:
    sql: str
    columns: list  # named by what they are called outside
    rows: float
    ordered: bool = False  # by every column, so that the order of rows is known


class Generator:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.names = 0

    # ---- small choices

    def maybe(self, chance):
        return self.dice.random() < chance

    def pick(self, *choices):
        return self.dice.choice(choices)

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def kind_in(self, scope, among=KINDS):
        """The kind of some column; the more columns, the likelier."""
        return self.dice.choice([one.kind for one in scope if one.kind in among] or ["int"])

    def column(self, scope, kinds, low=False):
        """A column of one of the kinds, or None; `low`: one with few values, if there is one."""
        fitting = [one for one in scope if one.kind in kinds]
        if low:
            fitting = [one for one in fitting if one.distinct <= 60] or fitting
        return self.dice.choice(fitting) if fitting else None

    # ---- expressions

    def literal(self, kind):
        dice = self.dice
        return {
            "int": lambda: str(dice.choice([0, 1, 2, 3, 5, 7, 10, 20, 100, 404, 500, 1000])),
            "dec": lambda: f"{dice.choice(['0.25', '1.50', '7.00', '-12.75', '99.99', '2500.00'])}",
            "dbl": lambda: f"CAST({dice.randrange(0, 400) / 4} AS double precision)",
            "text": lambda: f"'{dice.choice(tables.WORDS)}'",
            "bool": lambda: dice.choice(["true", "false"]),
            "date": lambda: f"DATE '2023-0{dice.randint(1, 4)}-{dice.randint(10, 28)}'",
            "ts": lambda: f"TIMESTAMP '2023-0{dice.randint(1, 2)}-{dice.randint(10, 28)} 0{dice.randint(0, 9)}:30:00'",
        }[kind]()

    def expression(self, scope, kind, depth=2):
        """An expression of that kind; what it is made of is in scope."""
        column = self.column(scope, (kind,))
        if column and (depth == 0 or self.maybe(0.5)):
            return column.sql
        if depth == 0 or self.maybe(0.1):
            return self.literal(kind)

        def less(other=kind):
            return self.expression(scope, other, depth - 1)
        common = [
            lambda: f"coalesce({less()}, {less()})",
            lambda: f"CASE WHEN {self.condition(scope, depth - 1)} THEN {less()} ELSE {less()} END",
            lambda: f"CASE WHEN {self.condition(scope, depth - 1)} THEN {less()} END",
            lambda: f"nullif({less()}, {self.literal(kind)})",
        ]
        own = {
            "int": [lambda: f"({less()} + {less()})", lambda: f"({less()} - {less()})",
                    lambda: f"({less()} * {self.pick(2, 3, 9)})", lambda: f"({less()} % {self.pick(2, 3, 7)})",
                    lambda: f"abs({less()})", lambda: f"length({less('text')})",
                    lambda: f"CAST(extract({self.pick('month', 'day')} FROM {less('date')}) AS bigint)",
                    lambda: f"greatest({less()}, {less()})", lambda: f"CAST({less('bool')} AS int)"],
            "dec": [lambda: f"({less()} + {less()})", lambda: f"({less()} - {less()})",
                    lambda: f"({less()} * {self.pick(2, 3)})", lambda: f"({less()} + {less('int')})",
                    lambda: f"least({less()}, {less()})"],
            "dbl": [lambda: f"({less()} + {less()})", lambda: f"({less()} * {self.pick(2, '0.5')})",
                    lambda: f"({less()} + {less('int')})", lambda: f"floor({less()})"],
            "text": [lambda: f"upper({less()})", lambda: f"({less()} || {less()})",
                     lambda: f"substr({less()}, 1, {self.pick(1, 2, 3)})",
                     lambda: f"CAST({less('int')} AS text)", lambda: f"concat({less()}, '-', {less()})"],
            "bool": [lambda: self.condition(scope, depth - 1)],
            "date": [lambda: f"({less()} + {self.pick(1, 7, 30)})",
                     lambda: f"CAST(date_trunc('month', {less()}) AS date)",
                     lambda: f"CAST({less('ts')} AS date)"],
            "ts": [lambda: f"date_trunc('{self.pick('hour', 'day')}', {less()})",
                   lambda: f"CAST({less('date')} AS timestamp)"],
        }[kind]
        return self.dice.choice(common + own * 2)()

    def condition(self, scope, depth=2):
        kind = self.kind_in(scope, ORDERED)
        less = lambda other=kind: self.expression(scope, other, max(0, depth - 1))
        if depth > 0 and self.maybe(0.35):
            return self.pick(
                lambda: f"({self.condition(scope, depth - 1)} AND {self.condition(scope, depth - 1)})",
                lambda: f"({self.condition(scope, depth - 1)} OR {self.condition(scope, depth - 1)})",
                lambda: f"(NOT {self.condition(scope, depth - 1)})")()
        other = self.pick(*NUMERIC) if kind in NUMERIC else kind
        choices = [
            lambda: f"({less()} {self.pick('=', '<>', '<', '<=', '>', '>=')} {less(other)})",
            lambda: f"({less()} {self.pick('<', '>', '<>')} {self.literal(kind)})",
            lambda: f"({less()} IS {self.pick('', 'NOT ')}NULL)",
            lambda: f"({less()} IS {self.pick('', 'NOT ')}DISTINCT FROM {less()})",
            lambda: f"({less()} {self.pick('', 'NOT ')}IN ({self.literal(kind)}, {self.literal(kind)}, {self.pick(self.literal(kind), 'NULL')}))",
            lambda: f"({less()} BETWEEN {self.literal(kind)} AND {self.literal(kind)})",
        ]
        if self.column(scope, ("text",)):
            choices.append(lambda: f"({self.expression(scope, 'text', 1)} {self.pick('', 'NOT ')}LIKE '{self.pick('%e%', 'c%', '_o%', '%n')}')")
        boolean = self.column(scope, ("bool",))
        if boolean:
            choices += [lambda: boolean.sql, lambda: f"({boolean.sql} IS {self.pick('', 'NOT ')}TRUE)"]
        return self.dice.choice(choices)()

    # ---- relations

    def table(self):
        table = self.dice.choice([one for one in tables.TABLES for _ in range(1 if one.rows < 100 else 3)])
        alias = self.name("t")
        return Relation(f"{table.name} {alias}", [
            Column(f"{alias}.{one.name}", one.kind, one.distinct) for one in table.columns], table.rows, True)

    def wrap(self, query, exact=False):
        """A query as a table."""
        alias = self.name("q")
        return Relation(f"({query.sql}) {alias}", [
            Column(f"{alias}.{one.sql}", one.kind, one.distinct) for one in query.columns
            if one.kind in KINDS], query.rows, exact)

    def relation(self, depth):
        if depth > 0 and self.maybe(0.35):
            wrapped = self.wrap(self.query(depth - 1))
            if wrapped.columns:
                return wrapped
        return self.table()

    def shrink(self, relation, rows):
        """The same with at most about so many rows: the first in an order by all columns."""
        if relation.exact and relation.rows <= rows:
            return relation
        kept = self.dice.sample(relation.columns, min(len(relation.columns), 5))
        names = [self.name("c") for _ in kept]
        listed = ", ".join(f"{column.sql} AS {name}" for column, name in zip(kept, names))
        count = int(rows)
        sql = f"SELECT {listed} FROM {relation.sql} ORDER BY {self.order(len(kept))} LIMIT {count}"
        return self.wrap(Query(sql, [Column(name, column.kind, min(column.distinct, count))
                                     for column, name in zip(kept, names)], count), exact=True)

    def join(self, left, right):
        """Two relations joined, or None where they have nothing in common."""
        kind = self.pick("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
        scope = left.columns + right.columns
        if kind == "CROSS JOIN":
            left, right = self.shrink(left, 400), self.shrink(right, 40)
            return Relation(f"{left.sql} CROSS JOIN {right.sql}", left.columns + right.columns,
                            left.rows * right.rows)
        if kind != "FULL JOIN" and self.maybe(0.12):  # no equality: pair by pair
            left = self.shrink(left, 400)
            right = self.shrink(right, PRODUCT_MAX / max(left.rows, 1) / 20)
            scope = left.columns + right.columns
            a, b = self.column(left.columns, NUMERIC), self.column(right.columns, NUMERIC)
            if not (a and b):
                return None
            return Relation(f"{left.sql} {kind} {right.sql} ON {a.sql} {self.pick('<', '>=')} {b.sql}",
                            scope, left.rows * right.rows / 2 + max(left.rows, right.rows))
        for _ in range(6):
            a = self.dice.choice(left.columns)
            b = self.column(right.columns, NUMERIC if a.kind in NUMERIC else (a.kind,))
            if b and a.kind != "bool":
                break
        else:
            return None
        most = max(a.distinct, b.distinct, 1)
        if left.rows * right.rows / most > ROWS_MAX:
            left, right = self.shrink(left, 600), self.shrink(right, 600)
            a = self.dice.choice([one for one in left.columns if one.kind != "bool"] or [left.columns[0]])
            b = self.column(right.columns, NUMERIC if a.kind in NUMERIC else (a.kind,))
            if not b:
                return None
            most = max(a.distinct, b.distinct, 1)
            scope = left.columns + right.columns
        on = f"{a.sql} = {b.sql}"
        rows = left.rows * right.rows / most
        if self.maybe(0.3):
            on += f" AND {self.condition(scope, 1)}"
        if kind != "JOIN":
            rows = max(rows, left.rows + (right.rows if kind == "FULL JOIN" else 0))
        return Relation(f"{left.sql} {kind} {right.sql} ON {on}", scope, rows)

    def source(self, depth):
        relation = self.relation(depth)
        for _ in range(self.dice.choice([0, 0, 1, 1, 1, 2])):
            joined = self.join(relation, self.relation(depth - 1 if depth else 0))
            if joined is None or joined.rows > ROWS_MAX:
                break
            relation = joined
        return relation

    # ---- what stands behind WHERE

    def subquery(self, scope):
        """A condition with a query in it."""
        inner = self.table()
        where = f" WHERE {self.condition(inner.columns, 1)}" if self.maybe(0.6) else ""
        kind = self.kind_in(scope, ORDERED)
        shape = self.dice.randrange(4)
        b = self.column(inner.columns, (kind,), low=True)
        a = self.column(scope, (kind,))
        if not (a and b):
            return self.condition(scope)
        if shape == 0:
            return f"{a.sql} {self.pick('', 'NOT ')}IN (SELECT {b.sql} FROM {inner.sql}{where})"
        tied = f"{where or ' WHERE true'} AND {b.sql} = {a.sql}"
        if shape == 1:
            return f"{self.pick('', 'NOT ')}EXISTS (SELECT 1 FROM {inner.sql}{tied})"
        number = self.column(inner.columns, NUMERIC) or b
        if shape == 2:
            outer = self.column(scope, NUMERIC) or a
            what = self.pick("max", "min")
            if number.kind not in NUMERIC or outer.kind not in NUMERIC:
                return f"{a.sql} <= (SELECT {what}({b.sql}) FROM {inner.sql}{where})"
            return f"{outer.sql} <= (SELECT {what}({number.sql}) FROM {inner.sql}{tied})"
        return f"(SELECT count({self.pick('*', number.sql)}) FROM {inner.sql}{tied}) {self.pick('= 0', '> 2', '< 10')}"

    def where(self, scope, chance=0.7):
        conditions = []
        if self.maybe(chance):
            conditions.append(self.condition(scope))
        if self.maybe(0.25):
            conditions.append(self.subquery(scope))
        return " WHERE " + " AND ".join(conditions) if conditions else ""

    def order(self, count):
        """An order by every column, which leaves open only what is the same."""
        places = self.dice.sample(range(1, count + 1), count)
        return ", ".join(f"{place} {self.pick('ASC', 'DESC')} NULLS {self.pick('FIRST', 'LAST')}"
                         for place in places)

    # ---- queries

    def finish(self, sql, columns, rows, distinct=False):
        """Perhaps an order, perhaps a limit with it."""
        ordered = self.maybe(0.4)
        if ordered:
            sql += f" ORDER BY {self.order(len(columns))}"
            if self.maybe(0.7):
                count = self.pick(1, 7, 50, 1000)
                sql += f" LIMIT {count}"
                rows = min(rows, count)
                if self.maybe(0.4):
                    sql += f" OFFSET {self.pick(1, 10, 200)}"
        return Query(sql, columns, max(rows, 1), ordered)

    def listed(self, scope, count):
        """(select list, columns)"""
        items, columns = [], []
        for _ in range(count):
            kind = self.kind_in(scope)
            known = self.column(scope, (kind,))
            sql = known.sql if known and self.maybe(0.5) else self.expression(scope, kind)
            name = self.name("c")
            items.append(f"{sql} AS {name}")
            columns.append(Column(name, kind, known.distinct if known else 10))
        return ", ".join(items), columns

    def plain(self, depth):
        source = self.source(depth)
        items, columns = self.listed(source.columns, self.dice.randint(1, 5))
        if self.maybe(0.15) and (a := self.column(source.columns, ("int",))):
            inner = self.table()
            if b := self.column(inner.columns, ("int",)):
                name = self.name("c")
                items += (f", (SELECT {self.pick('count(*)', f'max({b.sql})')} FROM {inner.sql}"
                          f" WHERE {b.sql} = {a.sql}) AS {name}")
                columns.append(Column(name, "int", 100))
        distinct = "DISTINCT " if self.maybe(0.2) else ""
        return self.finish(f"SELECT {distinct}{items} FROM {source.sql}{self.where(source.columns)}",
                           columns, source.rows)

    def aggregate_of(self, scope):
        """(sql, kind) of one aggregate."""
        number = self.column(scope, ("int",)) or Column("1", "int", 1)
        decimal = self.column(scope, ("dec",))
        double = self.column(scope, ("dbl",))
        any_one = self.column(scope, ORDERED) or number
        truth = self.column(scope, ("bool",))
        text = self.column(scope, ("text",))
        choices = [
            ("count(*)", "int"), (f"count({any_one.sql})", "int"),
            (f"count(DISTINCT {any_one.sql})", "int"), (f"CAST(sum({number.sql}) AS bigint)", "int"),
            (f"CAST(sum(DISTINCT {number.sql}) AS bigint)", "int"),
            (f"min({any_one.sql})", any_one.kind), (f"max({any_one.sql})", any_one.kind),
            (f"max({self.expression(scope, any_one.kind, 1)})", any_one.kind),
            (f"avg(CAST({number.sql} AS double precision))", "avg")]
        if decimal:
            choices += [(f"CAST(sum({decimal.sql}) AS decimal(18, 2))", "dec")]
        if double:
            choices += [(f"sum({double.sql})", "dbl"), (f"avg({double.sql})", "avg")]
        if truth:
            choices += [(f"bool_and({truth.sql})", "bool"), (f"bool_or({truth.sql})", "bool")]
        if text:
            choices += [(f"string_agg(DISTINCT {text.sql}, ',' ORDER BY {text.sql})", "text")]
        sql, kind = self.dice.choice(choices)
        if self.maybe(0.2) and sql.endswith(")") and not sql.startswith("CAST"):
            sql += f" FILTER (WHERE {self.condition(scope, 1)})"
        return sql, kind

    def aggregate(self, depth):
        source = self.source(depth)
        scope = source.columns
        where = self.where(scope, 0.5)
        keys, columns, groups = [], [], 1.0
        for _ in range(self.dice.choice([0, 1, 1, 2, 2])):
            kind = self.kind_in(scope)
            known = self.column(scope, (kind,), low=True)
            key = known.sql if known and self.maybe(0.7) else self.expression(scope, kind, 1)
            if key in keys or not known or not any(one.sql in key for one in scope):
                continue  # a constant in a grouping set is no expression of it
            keys.append(key)
            columns.append(Column("", kind, known.distinct))
            groups *= columns[-1].distinct
        items = list(keys)
        grouping = ""
        if keys:
            form = self.dice.randrange(6)
            if form == 0:
                grouping = f" GROUP BY ROLLUP ({', '.join(keys)})"
            elif form == 1:
                grouping = f" GROUP BY CUBE ({', '.join(keys)})"
            elif form == 2:
                sets = [f"({key})" for key in keys] + ["()"] + [f"({', '.join(keys)})"] * self.maybe(0.5)
                grouping = f" GROUP BY GROUPING SETS ({', '.join(sets)})"
            else:
                grouping = f" GROUP BY {', '.join(keys)}"
            if form < 3 and self.maybe(0.5):
                items.append(f"grouping({keys[0]})")
                columns.append(Column("", "int", 2))
        for _ in range(self.dice.randint(1, 3)):
            sql, kind = self.aggregate_of(scope)
            if sql.startswith("string_agg") and any("string_agg" in one for one in items):
                continue  # two of them with two orders are refused
            items.append(sql)
            columns.append(Column("", kind, min(groups, 20)))
        for at, column in enumerate(columns):
            column.sql = self.name("c")
            items[at] += f" AS {column.sql}"
        having = f" HAVING count(*) {self.pick('> 1', '< 500', '>= 10')}" if self.maybe(0.25) else ""
        return self.finish(f"SELECT {', '.join(items)} FROM {source.sql}{where}{grouping}{having}",
                           columns, min(groups, source.rows))

    def window(self, depth):
        source = self.shrink(self.source(depth), 12_000)
        scope = source.columns
        items, columns = self.listed(scope, self.dice.randint(1, 3))
        total = ", ".join(f"{one.sql} {self.pick('ASC', 'DESC')} NULLS {self.pick('FIRST', 'LAST')}"
                          for one in sorted(scope, key=lambda _: self.dice.random()))
        shared = None
        for _ in range(self.dice.randint(1, 2)):
            key = self.column(scope, KINDS, low=True)
            by = f"PARTITION BY {key.sql} " if self.maybe(0.7) else ""
            # Rows that are equal in all columns have numbers in any order; but both of them in the same.
            by = shared = by if shared is None else shared
            peer = self.column(scope, ORDERED) or key
            any_order = f"ORDER BY {peer.sql} {self.pick('ASC', 'DESC')} NULLS {self.pick('FIRST', 'LAST')}"
            value = self.column(scope, ("int", "dbl")) or Column("1", "int", 1)
            anything = self.column(scope, ORDERED) or key
            rows = f"ROWS BETWEEN {self.pick('UNBOUNDED PRECEDING', '3 PRECEDING')} AND {self.pick('CURRENT ROW', '2 FOLLOWING', 'UNBOUNDED FOLLOWING')}"
            summed = f"sum({value.sql})" if value.kind == "dbl" else f"count({value.sql})"
            sql, kind = self.pick(
                (f"row_number() OVER ({by}ORDER BY {total})", "int"),
                (f"rank() OVER ({by}{any_order})", "int"),
                (f"dense_rank() OVER ({by}{any_order})", "int"),
                (f"count(*) OVER ({by}{any_order})", "int"),
                (f"{summed} OVER ({by}{any_order})", "dbl" if value.kind == "dbl" else "int"),
                (f"{summed} OVER ({by}ORDER BY {total} {rows})", "dbl" if value.kind == "dbl" else "int"),
                (f"max({anything.sql}) OVER ({by})", anything.kind),
                (f"min({anything.sql}) OVER ({by}ORDER BY {total} {rows})", anything.kind),
                (f"lag({anything.sql}, {self.pick(1, 3)}) OVER ({by}ORDER BY {total})", anything.kind),
                (f"lead({anything.sql}) OVER ({by}ORDER BY {total})", anything.kind),
                (f"first_value({anything.sql}) OVER ({by}ORDER BY {total})", anything.kind),
                (f"ntile({self.pick(2, 5)}) OVER ({by}ORDER BY {total})", "int"))
            name = self.name("c")
            items += f", {sql} AS {name}"
            columns.append(Column(name, kind, 100))
        return self.finish(f"SELECT {items} FROM {source.sql}{self.where(scope, 0.3)}", columns,
                           source.rows)

    def branch(self, kinds, depth):
        """A query whose columns are of these kinds; numbers may be of another kind of number."""
        source = self.relation(depth)
        items = []
        for kind in kinds:
            if kind in NUMERIC and self.maybe(0.3):
                kind = self.pick(*NUMERIC)
            column = self.column(source.columns, (kind,), low=True)
            if self.maybe(0.05):
                items.append(f"CAST(NULL AS {dict(int='int', dec='decimal(12, 2)', dbl='double precision', text='text', date='date')[kind]})")
            elif column and column.sql not in items and self.maybe(0.8):
                items.append(f"{column.sql} % 7" if kind == "int" and column.distinct > 60 else column.sql)
            else:
                items.append(self.expression(source.columns, kind, 1))
        listed = ", ".join(f"{item} AS {self.name('c')}" for item in items)
        return f"SELECT {listed} FROM {source.sql}{self.where(source.columns, 0.4)}", source.rows

    def set_operation(self, depth):
        kinds = [self.pick("int", "int", "dec", "dbl", "text", "date")
                 for _ in range(self.dice.randint(1, 3))]
        names = [self.name("c") for _ in kinds]
        text, rows = self.branch(kinds, depth)
        for _ in range(self.pick(1, 1, 2)):
            word = self.pick("UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL")
            other, count = self.branch(kinds, depth)
            text, rows = f"({text}) {word} ({other})", rows + count
        listed = ", ".join(names)
        columns = [Column(name, "dec" if kind == "int" else kind, 100)
                   for name, kind in zip(names, kinds)]
        return self.finish(f"SELECT {listed} FROM ({text}) {self.name('s')} ({listed})", columns, rows)

    def twice(self, depth):
        """A query with a name, used twice."""
        named, query = self.name("w"), self.query(depth - 1)
        if all(one.kind not in KINDS for one in query.columns):
            return query
        relations = []
        for _ in range(2):
            alias = self.name("t")
            relations.append(Relation(f"{named} {alias}", [
                Column(f"{alias}.{one.sql}", one.kind, one.distinct) for one in query.columns
                if one.kind in KINDS],
                query.rows))
        joined = self.join(*relations)
        if joined is None or joined.rows > ROWS_MAX:
            joined = relations[0]
        items, columns = self.listed(joined.columns, self.dice.randint(1, 3))
        return self.finish(f"WITH {named} AS ({query.sql}) SELECT {items} FROM {joined.sql}"
                           f"{self.where(joined.columns, 0.3)}", columns, joined.rows)

    def query(self, depth):
        shapes = [self.plain, self.plain, self.aggregate, self.aggregate, self.window,
                  self.set_operation]
        if depth > 0:
            shapes.append(self.twice)
        return self.dice.choice(shapes)(depth)


def query(number, seed=SEED):
    """A query of few rows, or what adds up and compares all rows of a large one."""
    generator = Generator(f"{seed} {number}")
    made = generator.query(depth=2)
    if made.rows <= RESULT_MAX:
        return made
    items = ["count(*) AS n"]
    for one in made.columns:
        items += [f"{what}({one.sql}) AS {generator.name('c')}" for what in (
            ("count", "min", "max") if one.kind in ORDERED else ("count",))]
        if one.kind in NUMERIC:
            items.append(f"sum({one.sql}) AS {generator.name('c')}")
    return Query(f"SELECT {', '.join(items)} FROM ({made.sql}) {generator.name('s')}", [], 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--count", type=int, default=0)
    arguments = parser.parse_args()
    for number in arguments.numbers or range(arguments.count):
        print(f"-- {number}\n{query(number).sql};")


if __name__ == "__main__":
    main()
