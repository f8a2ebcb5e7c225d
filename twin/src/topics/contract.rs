//! The topics of the contract, for those who connect: `/asyncapi.json` is made of this table.

/// Who publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The node takes what devices publish.
    Receive,
    /// The node publishes to subscribers.
    Send,
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// SenML or a flat object.
    Readings,
    /// A number, or an object with one.
    Reading,
    /// [`super::ValuePayload`].
    Value,
    /// [`super::CellPayload`].
    Cell,
    /// [`super::AlertPayload`].
    Alert,
    /// [`super::CommandPayload`].
    Command,
    /// [`super::DecisionPayload`].
    Decision,
    /// [`crate::status::NodeStatus`].
    Status,
    /// [`crate::uplink::Cursor`].
    Cursor,
    /// [`crate::event::EdgeOrdered`].
    Order,
    /// Bytes of a format that only boxes and cities speak.
    Binary,
}

/// A family of topics.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Unique in the table.
    pub id: &'static str,
    /// With a name from [`PARAMETERS`] in braces for each level that varies.
    pub address: &'static str,
    /// Who publishes.
    pub action: Action,
    /// What.
    pub payload: Payload,
    /// Whether a new subscriber gets the newest message at once.
    pub retained: bool,
    /// For whom and what for.
    pub text: &'static str,
}

/// All families.
pub const TOPICS: [Topic; 16] = [
    Topic {
        id: "readings",
        address: "dt/{quarter}/{asset}",
        action: Action::Receive,
        payload: Payload::Readings,
        retained: false,
        text: "Readings of a device. A QoS 1 or 2 publish is acknowledged when they are on disk. \
               What cannot be understood is set aside and listed at /api/v1/dead-letters.",
    },
    Topic {
        id: "reading",
        address: "dt/{quarter}/{asset}/{metric}",
        action: Action::Receive,
        payload: Payload::Reading,
        retained: false,
        text: "One reading of a device.",
    },
    Topic {
        id: "twin",
        address: "twin/v1/{quarter}/{domain}/{asset}/{metric}",
        action: Action::Send,
        payload: Payload::Value,
        retained: true,
        text: "The newest value of a stream.",
    },
    Topic {
        id: "personal",
        address: "personal/v1/{quarter}/{domain}/{asset}/{metric}",
        action: Action::Send,
        payload: Payload::Value,
        retained: true,
        text: "The same for metrics that speak of a household or a person, such as its meter. \
               They appear nowhere else but in cells with five assets or more.",
    },
    Topic {
        id: "area",
        address: "area/v1/{r6}/{d7}/{d8}/{d9}/{d10}/{domain}/{asset}/{metric}",
        action: Action::Send,
        payload: Payload::Value,
        retained: false,
        text: "The same as under twin, addressed by place: area/v1/{r6}/{d7}/{d8}/# is every asset \
               within a cell of resolution 8. `quartier area` prints the filter of a place.",
    },
    Topic {
        id: "cell",
        address: "cell/v1/{resolution}/{cell}/{domain}/{metric}",
        action: Action::Send,
        payload: Payload::Cell,
        retained: true,
        text: "The aggregate of a metric over an H3 cell, at most once a second; an empty payload \
               when nothing is left in it.",
    },
    Topic {
        id: "alert",
        address: "alert/v1/{quarter}/{rule}/{asset}",
        action: Action::Send,
        payload: Payload::Alert,
        retained: true,
        text: "An alert, for as long as it is active; an empty payload ends it.",
    },
    Topic {
        id: "command",
        address: "cmd/v1/{quarter}/{asset}",
        action: Action::Send,
        payload: Payload::Command,
        retained: false,
        text: "What a device is to do, a message a property. It comes again, with the same id, \
               until the device reports the value on dt/.. or it expires; a new subscriber gets \
               at once what is open.",
    },
    Topic {
        id: "decision",
        address: "decision/v1/{quarter}/{plugin}",
        action: Action::Send,
        payload: Payload::Decision,
        retained: false,
        text: "The audit record of a batch in which a plugin decided something.",
    },
    Topic {
        id: "status",
        address: "node/v1/{node}/status",
        action: Action::Send,
        payload: Payload::Status,
        retained: true,
        text: "How the node is, every few seconds.",
    },
    Topic {
        id: "uplink",
        address: "uplink/v1/{node}",
        action: Action::Receive,
        payload: Payload::Binary,
        retained: false,
        text: "A box's journal, for its city: entries with their positions and a hash chain, \
               deflated. Acknowledged when it is in the city's journal; for boxes only.",
    },
    Topic {
        id: "news",
        address: "uplink/v1/{node}/news",
        action: Action::Receive,
        payload: Payload::Binary,
        retained: false,
        text: "What must not wait behind a box's backlog: alerts, commands, newest values, health.",
    },
    Topic {
        id: "state",
        address: "uplink/v1/{node}/state",
        action: Action::Receive,
        payload: Payload::Binary,
        retained: false,
        text: "A box's whole state in parts, where entries are lost that it has folded.",
    },
    Topic {
        id: "cursor",
        address: "downlink/v1/{node}/cursor",
        action: Action::Send,
        payload: Payload::Cursor,
        retained: true,
        text: "How far the city has come with a box's journal.",
    },
    Topic {
        id: "order",
        address: "downlink/v1/{node}/order/{number}",
        action: Action::Send,
        payload: Payload::Order,
        retained: true,
        text: "What a box is to do, until it has taken it; then an empty payload.",
    },
    Topic {
        id: "package",
        address: "downlink/v1/{node}/package/{package}/{chunk}",
        action: Action::Send,
        payload: Payload::Binary,
        retained: true,
        text: "32 KiB of a plugin's package; subscribing to the chunk is asking for it.",
    },
];

/// Levels that vary, by name, with what they are.
pub const PARAMETERS: [(&str, &str); 17] = [
    (
        "asset",
        "Id of the asset: one topic level, unique in its quarter.",
    ),
    ("cell", "H3 cell in hexadecimal, as of `resolution`."),
    ("chunk", "Number of the chunk, from 0."),
    ("d10", "Child digit at resolution 10, 0 to 6."),
    ("d7", "Child digit at resolution 7, 0 to 6."),
    ("d8", "Child digit at resolution 8, 0 to 6."),
    ("d9", "Child digit at resolution 9, 0 to 6."),
    (
        "domain",
        "energy, mobility, environment, health, science or device.",
    ),
    (
        "metric",
        "Name of the metric, such as active_power, pm10 or temperature.",
    ),
    ("node", "Name of the node."),
    (
        "number",
        "Number of the order: a position in the city's journal.",
    ),
    (
        "package",
        "SHA-256 of the component, a dash, SHA-256 of the manifest.",
    ),
    ("plugin", "Id of the plugin."),
    ("quarter", "Id of the quarter."),
    ("r6", "H3 cell at resolution 6, in hexadecimal."),
    ("resolution", "H3 resolution, 6 to 12."),
    ("rule", "Name of the rule."),
];
