//! Attributes and lists of names as JSON text, without a tree in between: this is most of the cost of reading a row.

use crate::{Result, StoreError};
use occi_model::{AttributeName, Attributes, TypeId, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

/// Names that repeat in every row are made once per thread and shared; so many at most.
const SHARED_NAMES: usize = 4096;

thread_local! {
    static ATTRIBUTE_NAMES: RefCell<HashSet<AttributeName>> = RefCell::default();
    static TYPE_IDS: RefCell<HashSet<TypeId>> = RefCell::default();
}

fn shared<T>(known: &RefCell<HashSet<T>>, text: &str) -> std::result::Result<T, T::Err>
where
    T: FromStr + Clone + Eq + Hash + std::borrow::Borrow<str>,
{
    let mut known = known.borrow_mut();
    if let Some(name) = known.get(text) {
        return Ok(name.clone());
    }
    let name: T = text.parse()?;
    if known.len() < SHARED_NAMES {
        known.insert(name.clone());
    }
    Ok(name)
}

/// Reads a type identifier that is likely to be known already.
pub(crate) fn type_id(text: &str) -> Result<TypeId> {
    TYPE_IDS.with(|known| shared(known, text)).map_err(corrupt)
}

fn attribute_name(text: &str) -> std::result::Result<AttributeName, occi_model::IdentError> {
    ATTRIBUTE_NAMES.with(|known| shared(known, text))
}

pub(crate) fn corrupt(error: impl fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

pub(crate) fn write_attributes(attributes: &Attributes) -> Result<String> {
    struct Map<'a>(&'a Attributes);
    impl Serialize for Map<'_> {
        fn serialize<S: Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
            out.collect_map(self.0.iter().map(|(name, value)| (name.as_str(), Out(value))))
        }
    }
    serde_json::to_string(&Map(attributes)).map_err(|e| StoreError::Failed(e.into()))
}

pub(crate) fn read_attributes(text: &str) -> Result<Attributes> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Attributes;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("attributes")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Attributes, A::Error> {
            std::iter::from_fn(|| map.next_entry_seed(Name, In).transpose()).collect()
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Pairs).map_err(corrupt)
}

pub(crate) fn write_types(types: &[TypeId]) -> Result<String> {
    let names: Vec<&str> = types.iter().map(TypeId::as_str).collect();
    serde_json::to_string(&names).map_err(|e| StoreError::Failed(e.into()))
}

pub(crate) fn read_types(text: &str) -> Result<Vec<TypeId>> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<TypeId>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("type identifiers")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Vec<TypeId>, A::Error> {
            let mut types = Vec::new();
            while let Some(name) = list.next_element::<std::borrow::Cow<'de, str>>()? {
                types.push(type_id(&name).map_err(de::Error::custom)?);
            }
            Ok(types)
        }
    }
    if text == "[]" {
        return Ok(Vec::new());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(List).map_err(corrupt)
}

struct Out<'a>(&'a Value);

impl Serialize for Out<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => out.serialize_str(text),
            Value::Integer(number) => out.serialize_i64(*number),
            Value::Float(number) => out.serialize_f64(*number),
            Value::Boolean(truth) => out.serialize_bool(*truth),
            Value::List(values) => out.collect_seq(values.iter().map(Out)),
            Value::Hash(map) => out.collect_map(map.iter().map(|(key, value)| (key, Out(value)))),
        }
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = AttributeName;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> std::result::Result<AttributeName, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = AttributeName;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute name")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<AttributeName, E> {
        attribute_name(text).map_err(E::custom)
    }
}

struct In;

impl<'de> DeserializeSeed<'de> for In {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> std::result::Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for In {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: de::Error>(self, truth: bool) -> std::result::Result<Value, E> {
        Ok(Value::Boolean(truth))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> std::result::Result<Value, E> {
        Ok(Value::Integer(number))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> std::result::Result<Value, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "larger than a whole number may be: it was a float"
        )]
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> std::result::Result<Value, E> {
        Ok(Value::Float(number))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(In)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            values.insert(key, map.next_value_seed(In)?);
        }
        Ok(Value::Hash(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_went() {
        let attributes: Attributes = [
            ("a", Value::from("tëxt \"quoted\"\n")),
            ("b", Value::from(-7)),
            ("c", Value::from(2.0)),
            ("d", Value::from(1.0e300)),
            ("e", Value::from(true)),
            (
                "f",
                Value::List(vec![
                    Value::from(1),
                    Value::Hash([("k".into(), Value::from("v"))].into()),
                ]),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value))
        .collect();
        let text = write_attributes(&attributes).unwrap();
        assert_eq!(read_attributes(&text).unwrap(), attributes);
        assert!(
            matches!(read_attributes(&text).unwrap().get("c"), Some(Value::Float(_))),
            "a float stays one"
        );
        assert!(matches!(read_attributes("[]"), Err(StoreError::Corrupt(_))));
    }
}
