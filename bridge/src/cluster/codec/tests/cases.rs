//! The SQL cases of the repository.

use super::*;
use crate::abi::{
    IGB_KIND_CREATE_TABLE, IGB_KIND_CREATE_TABLE_AS, IGB_KIND_CREATE_VIEW, IGB_KIND_INSERT,
};

struct Case {
    name: String,
    setup: String,
    query: String,
}

/// What tests/sql/README.md says of the format, as far as it is of interest here.
fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sections = text.split("\n---\n");
    let head = blocks(sections.next().unwrap());
    if head.contains_key("data") {
        return vec![];
    }
    let all = |section: &HashMap<String, String>, key: &str| {
        section.get(key).cloned().unwrap_or_default()
    };
    let case = |section: &str| {
        let own = blocks(section);
        Case {
            name: all(&own, "case"),
            setup: format!("{}\n{}", all(&head, "setup"), all(&own, "setup")),
            query: all(&own, "query"),
        }
    };
    sections.map(case).collect()
}

fn blocks(section: &str) -> HashMap<String, String> {
    let mut found: HashMap<String, String> = HashMap::new();
    let mut open = None;
    for line in section.lines() {
        let key = line.split_once(':').map(|(key, rest)| (key, rest.trim()));
        let is_key =
            |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b' ');
        match key {
            Some((key, rest)) if is_key(key) && (line.ends_with(':') || line.contains(": ")) => {
                open = rest.is_empty().then(|| key.to_string());
                found.insert(key.to_string(), rest.to_string());
            }
            _ => {
                if let Some(key) = &open {
                    let text = found.entry(key.clone()).or_default();
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    found
}

/// Statements end at a semicolon at the end of a line.
fn statements(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    for line in text.lines().filter(|line| !line.is_empty()) {
        let last = out.last_mut().unwrap();
        last.push_str(line);
        last.push('\n');
        if line.trim_end().ends_with(';') {
            out.push(String::new());
        }
    }
    out.retain(|statement| !statement.trim().is_empty());
    out
}

/// Runs one statement of a setup; false where it is none that a plan can be made of.
fn set_up(world: &mut World, statement: &str) -> bool {
    let lower = statement.to_lowercase();
    let zone = lower.strip_prefix("set time_zone = '").or(lower.strip_prefix("set time zone '"));
    if let Some(zone) = zone.and_then(|zone| zone.split('\'').next()) {
        let at = lower.find(zone).unwrap();
        world.session = new_session(&statement[at..at + zone.len()]);
        return true;
    }
    let Ok(planned) = world.plan(statement) else { return false };
    let plan = planned.plan();
    let Some(target) = plan.description.target.texts().last().cloned() else { return false };
    match plan.description.kind {
        IGB_KIND_CREATE_VIEW if plan.description.view_columns().is_empty() => {
            let sql = plan.description.definition.clone();
            world.tables.insert(target, Table::View(sql));
            true
        }
        IGB_KIND_CREATE_TABLE => {
            let schema = Arc::clone(&plan.promised);
            world.insert(&target, &[], &schema);
            true
        }
        IGB_KIND_CREATE_TABLE_AS | IGB_KIND_INSERT => {
            let Ok(physical) = planned.physical() else { return false };
            let engine = Arc::clone(&world.session().engine);
            let Ok(batches) = run(&engine, &physical.plan, physical.task) else { return false };
            let schema = physical.plan.schema();
            world.insert(&target, &batches, &schema);
            true
        }
        _ => false,
    }
}

fn is_volatile(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    ["random()", "uuid()", "now()", "current_", "clock_", "local"].iter().any(|f| sql.contains(f))
}

#[test]
fn plans_of_the_sql_cases_are_the_same_elsewhere_or_say_why_they_stay() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/sql"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "case"));
    paths.sort();
    let (mut same, mut stays, mut others) = (0, HashMap::<String, usize>::new(), 0);
    let mut wrong = vec![];
    for path in paths {
        for case in read(&path) {
            let mut world = World::new();
            let ready = statements(&case.setup).iter().all(|s| set_up(&mut world, s));
            let planned = match ready {
                true => world.plan(&case.query),
                false => Err(Error::internal("not set up")),
            };
            let Ok(planned) = planned else {
                others += 1;
                continue;
            };
            if planned.plan().logical.is_none() || !planned.plan().parameters.is_empty() {
                others += 1;
                continue;
            }
            match send_and_compare(&world, &planned, is_volatile(&case.query)) {
                Ok(Sent::Same(..) | Sent::Fails(_)) => same += 1,
                Ok(Sent::Stays(reason)) => *stays.entry(reason).or_default() += 1,
                Err(what) if what.starts_with("not planned") => others += 1,
                Err(what) => wrong.push(format!("{path:?} {}: {what}", case.name)),
            }
        }
    }
    eprintln!("{same} the same, {stays:?} stay, {others} without a plan");
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    assert!(same > 550 && others < 300, "{same} {stays:?} {others}");
}
