//! The order in which names appear in JSON text: inference sorts columns by name, people do not.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};

/// Deeper objects keep the order of inference, which refuses much deeper ones anyway.
const DEPTH: usize = 64;

/// The names of an object in order of appearance, each with the names within its values. Arrays
/// are looked through.
#[derive(Default)]
pub(super) struct KeyOrder {
    keys: Vec<(String, KeyOrder)>,
    /// Of each name in `keys`.
    places: HashMap<String, usize>,
}

/// The names in `text`, any number of JSON values that were found well-formed or will be.
pub(super) fn key_order(text: &[u8]) -> KeyOrder {
    let mut order = KeyOrder::default();
    let mut walk = Walk { text, at: 0 };
    while walk.at < text.len() {
        let before = walk.at;
        walk.value(&mut order, 0);
        walk.at = walk.at.max(before + 1);
    }
    order
}

/// The columns, and the fields of structs, in that order; what does not appear comes last.
pub(super) fn in_order(schema: &Schema, order: &KeyOrder) -> Schema {
    Schema::new(ordered(schema.fields(), order))
}

fn ordered(fields: &[FieldRef], order: &KeyOrder) -> Vec<FieldRef> {
    let place = |field: &FieldRef| order.places.get(field.name()).copied();
    let mut fields: Vec<(usize, FieldRef)> = fields
        .iter()
        .map(|field| match place(field) {
            Some(at) => {
                let inner = ordered_type(field.data_type(), &order.keys[at].1);
                (at, Arc::new(field.as_ref().clone().with_data_type(inner)))
            }
            None => (usize::MAX, Arc::clone(field)),
        })
        .collect();
    fields.sort_by_key(|(at, _)| *at);
    fields.into_iter().map(|(_, field)| field).collect()
}

fn ordered_type(data_type: &DataType, order: &KeyOrder) -> DataType {
    match data_type {
        DataType::Struct(fields) => DataType::Struct(ordered(fields, order).into()),
        DataType::List(item) => {
            let inner = ordered_type(item.data_type(), order);
            DataType::List(Arc::new(Field::clone(item).with_data_type(inner)))
        }
        other => other.clone(),
    }
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// One value; its names go into `order`.
    fn value(&mut self, order: &mut KeyOrder, depth: usize) {
        match self.next() {
            Some(b'{') if depth < DEPTH => self.object(order, depth),
            Some(b'[') if depth < DEPTH => {
                self.at += 1;
                loop {
                    match self.next() {
                        Some(b']') => break self.at += 1,
                        Some(b',') => self.at += 1,
                        Some(b'}') | None => break,
                        Some(_) => self.value(order, depth + 1),
                    }
                }
            }
            Some(b'"') => {
                self.string();
            }
            // A number or word, or what is too deep to follow: one byte is enough to go on.
            Some(_) => self.at += 1,
            None => {}
        }
    }

    fn object(&mut self, order: &mut KeyOrder, depth: usize) {
        self.at += 1;
        loop {
            match self.next() {
                Some(b'}') => break self.at += 1,
                Some(b'"') => {
                    let key = self.string();
                    if self.next() != Some(b':') {
                        break;
                    }
                    self.at += 1;
                    let at = match order.places.get(&key) {
                        Some(at) => *at,
                        None => {
                            order.places.insert(key.clone(), order.keys.len());
                            order.keys.push((key, KeyOrder::default()));
                            order.keys.len() - 1
                        }
                    };
                    self.value(&mut order.keys[at].1, depth + 1);
                }
                None => break,
                Some(_) => self.at += 1,
            }
        }
    }

    /// The text of a string as written. A name with escapes finds no column, and comes last.
    fn string(&mut self) -> String {
        let start = self.at + 1;
        self.at = start;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let end = self.at.min(self.text.len());
        self.at = end + 1;
        String::from_utf8_lossy(&self.text[start.min(end)..end]).into_owned()
    }
}
