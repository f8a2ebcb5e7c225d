//! Plugins of a running node: what is deployed, how it comes there, what it says.

mod artifacts;
mod comparison;
mod deployer;
mod logs;
mod record;

pub use artifacts::{ArtifactError, Artifacts};
pub use comparison::{Comparison, Example, Step, Tally, compare};
pub use deployer::{DeployError, Deployer, Done, Lab, Request};
pub use logs::{LogLine, Logs};
pub use record::{dictionary, misnamed, record_of};
