//! Boxes at the city's door: who they are comes from the twin, where their enrolment is an event.

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::event::Digest;
use crate::state::{EdgeStanding, Twin};

/// A credential of a box is this and its certificate's digest: another certificate of the same name
/// is another credential.
const BOX: &str = "box:";
const ROLE: &str = "edge";

/// Boxes by the name of their node; `None`: retired, and refused whatever it shows.
#[derive(Default)]
pub(super) struct Boxes(RwLock<HashMap<String, Option<Known>>>);

#[derive(Clone, PartialEq)]
struct Known {
    certificate: Digest,
    quarter: String,
}

pub(super) fn is_credential(credential: &str) -> bool {
    credential.starts_with(BOX)
}

pub(super) fn roles() -> Vec<String> {
    vec![ROLE.to_owned()]
}

impl Boxes {
    /// Takes the boxes of the twin; whether anything is different.
    pub(super) fn follow(&self, twin: &Twin) -> bool {
        let known = |edge: &crate::state::Edge| {
            let known = Known {
                certificate: edge.record.certificate,
                quarter: edge.record.quarter.clone(),
            };
            let active = edge.standing != EdgeStanding::Retired;
            (edge.record.node.clone(), active.then_some(known))
        };
        let now: HashMap<_, _> = twin.edges().iter().map(known).collect();
        if *self.0.read() == now {
            return false;
        }
        *self.0.write() = now;
        true
    }

    /// Whether the name is one of a box, retired or not.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.read().contains_key(name)
    }

    /// What a box has logged in with that shows this certificate.
    pub(super) fn credential(&self, name: &str, shown: Digest) -> Option<String> {
        let boxes = self.0.read();
        let known = boxes.get(name)?.as_ref()?;
        (known.certificate == shown).then(|| format!("{BOX}{shown}"))
    }

    /// The quarter of a box that logged in with `credential`; `None`: it is good no more.
    pub(super) fn quarter(&self, name: &str, credential: &str) -> Option<String> {
        let boxes = self.0.read();
        let known = boxes.get(name)?.as_ref()?;
        let same = credential.strip_prefix(BOX) == Some(&known.certificate.to_string());
        same.then(|| known.quarter.clone())
    }
}
