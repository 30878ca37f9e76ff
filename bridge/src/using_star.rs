//! `SELECT *` over INNER and LEFT JOIN … USING.
//!
//! The planner's `*` keeps of the two merged columns the one whose table comes first in the
//! alphabet: after a LEFT JOIN that may be the right side's, which is NULL where nothing matched. So `*`
//! is written out before planning, as PostgreSQL means it: the merged columns first, from the left
//! side, then the rest of each table.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins,
    WildcardAdditionalOptions,
};

use crate::error::{Error, Result};
use crate::relations::{file_stem, quoted_path};
use crate::resolve::is_host_function;

/// A relation of FROM by its name, and what its `*` leaves out.
struct Part {
    name: Vec<Ident>,
    excluded: Vec<Ident>,
}

/// Write the stars out where a USING asks for it.
pub(crate) fn expand(select: &mut Select) -> Result<()> {
    if !select.from.iter().any(|from| from.joins.iter().any(|join| merges(join).is_some())) {
        return Ok(());
    }
    let star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_));
    if !select.projection.iter().any(star) {
        return Ok(());
    }
    let Some(items) = star_items(&select.from) else {
        // Of an inner join both sides' columns are equal: either will do.
        let left = |join: &Join| matches!(merges(join), Some((true, _)));
        if !select.from.iter().any(|from| from.joins.iter().any(left)) {
            return Ok(());
        }
        return Err(Error::unsupported(
            "* over LEFT JOIN with USING is not supported where a joined table has no name",
        )
        .with_hint("Give every table in FROM an alias, or name the columns."));
    };
    let plain = SelectItem::Wildcard(WildcardAdditionalOptions::default()).to_string();
    for item in std::mem::take(&mut select.projection) {
        if !star(&item) {
            select.projection.push(item);
        } else if item.to_string() == plain {
            select.projection.extend(items.iter().cloned());
        } else {
            return Err(Error::unsupported(
                "* with EXCLUDE, REPLACE or RENAME over a join with USING is not supported",
            )
            .with_hint("Join with ON, or put the join into a subquery."));
        }
    }
    Ok(())
}

/// The USING columns of an inner (false) or left (true) join.
fn merges(join: &Join) -> Option<(bool, &Vec<ObjectName>)> {
    match &join.join_operator {
        JoinOperator::Join(JoinConstraint::Using(names))
        | JoinOperator::Inner(JoinConstraint::Using(names)) => Some((false, names)),
        JoinOperator::Left(JoinConstraint::Using(names))
        | JoinOperator::LeftOuter(JoinConstraint::Using(names)) => Some((true, names)),
        _ => None,
    }
}

/// What `*` means, or None where a relation cannot be named.
fn star_items(from: &[TableWithJoins]) -> Option<Vec<SelectItem>> {
    let mut items = Vec::new();
    for tables in from {
        let mut parts = vec![Part { name: name_of(&tables.relation)?, excluded: vec![] }];
        let mut front: Vec<(Vec<Ident>, Ident)> = Vec::new();
        for join in &tables.joins {
            let mut part = Part { name: name_of(&join.relation)?, excluded: vec![] };
            match &join.join_operator {
                JoinOperator::Semi(_)
                | JoinOperator::LeftSemi(_)
                | JoinOperator::Anti(_)
                | JoinOperator::LeftAnti(_) => continue,
                JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => return None,
                _ => {}
            }
            if let Some((_, names)) = merges(join) {
                let keys = names.iter().map(last_ident).collect::<Option<Vec<_>>>()?;
                front = merge(front, &mut parts, &keys);
                part.excluded = keys;
            }
            parts.push(part);
        }
        items.extend(front.into_iter().map(|(mut table, column)| {
            table.push(column);
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(table))
        }));
        items.extend(parts.into_iter().map(part_star));
    }
    Some(items)
}

/// The columns in front after a join on `keys`: those first, then what was in front before. A key
/// of one of several tables stays where it is: which one holds it is not known here.
fn merge(
    front: Vec<(Vec<Ident>, Ident)>,
    parts: &mut [Part],
    keys: &[Ident],
) -> Vec<(Vec<Ident>, Ident)> {
    let mut merged = Vec::new();
    for key in keys {
        if let Some(known) = front.iter().find(|(_, column)| same(column, key)) {
            merged.push(known.clone());
        } else if let [only] = parts {
            only.excluded.push(key.clone());
            merged.push((only.name.clone(), key.clone()));
        }
    }
    let rest = front.into_iter().filter(|(_, column)| !keys.iter().any(|key| same(column, key)));
    let rest: Vec<_> = rest.collect();
    merged.extend(rest);
    merged
}

fn same(a: &Ident, b: &Ident) -> bool {
    let meant = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    meant(a) == meant(b)
}

fn last_ident(name: &ObjectName) -> Option<Ident> {
    name.0.last().and_then(ObjectNamePart::as_ident).cloned()
}

fn part_star(part: Part) -> SelectItem {
    let name = ObjectName::from(part.name);
    let options = WildcardAdditionalOptions {
        opt_exclude: (!part.excluded.is_empty()).then(|| {
            let names = part.excluded.into_iter().map(|key| ObjectName::from(vec![key]));
            ExcludeSelectItem::Multiple(names.collect())
        }),
        ..WildcardAdditionalOptions::default()
    };
    SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
}

/// The name by which the columns of a relation are qualified.
fn name_of(relation: &TableFactor) -> Option<Vec<Ident>> {
    let (alias, name, called) = match relation {
        TableFactor::Table { name, alias, args, .. } => (alias, Some(name), args.is_some()),
        TableFactor::Derived { alias, .. }
        | TableFactor::NestedJoin { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::Function { alias, .. } => (alias, None, false),
        _ => return None,
    };
    if let Some(alias) = alias {
        return Some(vec![alias.name.clone()]);
    }
    let name = name?;
    if let Some(path) = quoted_path(name) {
        return Some(vec![Ident::with_quote('"', file_stem(&path))]);
    }
    let idents =
        name.0.iter().map(|part| part.as_ident().cloned()).collect::<Option<Vec<Ident>>>()?;
    if called {
        let function = idents.last()?.value.to_lowercase();
        return is_host_function(&function).then(|| vec![Ident::with_quote('"', function)]);
    }
    Some(idents)
}
