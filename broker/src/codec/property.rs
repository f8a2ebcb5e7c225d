//! One property of MQTT 5 on the wire (section 2.2.2).
