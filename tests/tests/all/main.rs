//! All tests at the boundary, in one binary: the program as it is delivered, real clients, real
//! servers. A test whose server is not installed says SKIPPED and why.

#[cfg(test)]
mod access;
#[cfg(test)]
mod access_matrix;
#[cfg(test)]
mod asyncapi;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod contained;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod disclosed;
#[cfg(test)]
mod edge_clock;
#[cfg(test)]
mod edge_conflicts;
#[cfg(test)]
mod edge_crash;
#[cfg(test)]
mod edge_links;
#[cfg(test)]
mod edge_losses;
#[cfg(test)]
mod edge_orders;
#[cfg(test)]
mod edge_packages;
#[cfg(test)]
mod edge_storage;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod external;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod plugin_languages;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rerun;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod swap;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod utilities;
#[cfg(test)]
mod websocket;
