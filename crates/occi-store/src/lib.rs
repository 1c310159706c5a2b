//! What occid remembers: entities, operations, events, accounts.
