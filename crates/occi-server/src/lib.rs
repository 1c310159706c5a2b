//! The binary occid: HTTP, authentication, configuration, wiring.
