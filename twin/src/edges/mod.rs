//! What a city does with boxes beside folding what they send: it invites and enrols them, and gives
//! them plugins' packages.

mod invitations;
pub mod packages;

pub use invitations::{Admitted, Invitation, InvitationError, Invitations, LONGEST_HOURS};
