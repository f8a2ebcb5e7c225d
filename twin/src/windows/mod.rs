//! windows.
