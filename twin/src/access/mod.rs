//! Who may connect and what they may do: users, certificates, tokens, rules.
//!
//! Invariants: what no rule grants is forbidden; what a client chooses itself (its identifier, a
//! user name) never widens a rule; no secret is kept, logged or printed, only hashes; one look at
//! the [`Directory`] decides a login, so that a change of the configuration counts whole or not
//! at all.

mod audit;
mod boxes;
mod directory;
mod failures;
mod gate;
mod principal;
mod rules;
#[cfg(test)]
mod tests;
mod token;
mod watch;

pub use audit::{Audit, Record};
pub use directory::{Change, Directory};
pub use gate::Access;
pub use principal::{Denied, Principal, Right};
pub use rules::{Action, BUILT_IN, BadRule, Rule, Subject, check_rule};
pub(crate) use token::PREFIX;
pub use token::{NewToken, NoRandomness};
pub use watch::{AccessWatch, Watched};
