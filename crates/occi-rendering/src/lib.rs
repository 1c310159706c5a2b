//! The OCCI renderings: bytes to model values and back.
