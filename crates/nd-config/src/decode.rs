//! The collecting decoder: reads values out of a tree and keeps going after each mistake.
//!
//! [`Keys`] reads a map against the table of keys; what was not asked for at its end is unknown, misplaced or not served
//! yet. [`Field`] is one value with its path; its methods answer `None` for a value that was wrong, and have said why.

mod field;
mod keys;

pub(crate) use self::field::Field;
pub(crate) use self::keys::Keys;
use crate::report::Mistake;
use crate::schema::Schema;

/// What is collected while a tree is read.
pub(crate) struct Decoder {
    pub(crate) schema: Schema,
    pub(crate) mistakes: Vec<Mistake>,
}

impl Decoder {
    pub(crate) fn new(schema: Schema) -> Self {
        Self { schema, mistakes: Vec::new() }
    }

    pub(crate) fn say(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }
}
