//! The numbers that stand for names. [`Setup`](crate::Setup) gives them out once; they hold for as
//! long as the rule runs and, for assets, in its saved state too.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub u32);
    };
}

id! {
    /// An asset of the quarter.
    AssetId
}
id! {
    /// A metric of the vocabulary.
    Metric
}
id! {
    /// A twin property: a metric that the manifest names under `reads.properties`.
    Prop
}
id! {
    /// An alert topic of the manifest.
    Topic
}
id! {
    /// A command of the manifest.
    CommandId
}
