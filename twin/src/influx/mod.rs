//! influx.
