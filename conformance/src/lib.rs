//! A black-box suite for any OCCI server.
