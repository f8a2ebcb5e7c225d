//! Plugins of a running node: what is deployed, how it comes there, what it says.

mod artifacts;
mod comparison;
mod deployer;
mod guard;
mod logs;
mod record;
mod wish;

pub use artifacts::{ArtifactError, Artifacts};
pub use comparison::{Comparison, Example, Step, Tally, compare};
pub use deployer::Deployer;
pub use guard::guard;
pub use logs::{LogLine, Logs};
pub use record::{dictionary, misnamed, record_of};
pub use wish::{DeployError, Done, Lab, Request};
