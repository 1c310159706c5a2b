//! The in-process reference engine, with a local and a remote personality.
