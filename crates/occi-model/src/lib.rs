//! The OCCI model: categories, entities, definitions, validation and state machines. No I/O.
