//! What a city does with boxes beside folding what they send: it invites and enrols them.

mod invitations;

pub use invitations::{Admitted, Invitation, InvitationError, Invitations, LONGEST_HOURS};
