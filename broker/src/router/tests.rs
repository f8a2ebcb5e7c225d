//! The router on its own, killed among others.
