//! What OCCI means, without HTTP.
