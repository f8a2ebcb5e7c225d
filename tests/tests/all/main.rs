//! All tests at the boundary, in one binary: the program as it is delivered, real clients, real
//! servers. A test whose server is not installed says SKIPPED and why.
