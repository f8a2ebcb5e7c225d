//! The sink against a mock server that follows a script, and against the real servers.

mod mock;
mod names;
mod protocol;
mod real;
mod rig;
mod servers;
mod shutdown;
mod status_table;
