//! Reading of the data types of MQTT (section 1.5), without panics.
