//! text/occi: the fields as HTTP headers.

pub(crate) use super::field::Field;
use super::message::{Manner, Message, Source};
use super::plain::decode;
use crate::ParseError;

/// Reads the fields among a request's or an answer's headers; the body does not count. Repeated headers and comma lists
/// mean the same.
pub(crate) fn read(fields: &[(&str, &[u8])], manner: &Manner) -> Result<Message, ParseError> {
    let mut message = Message::default();
    for (name, value) in fields {
        if let Some(field) = Field::named(name) {
            message.read(field, &decode(value), Source::Header(field), manner)?;
        }
    }
    Ok(message)
}
