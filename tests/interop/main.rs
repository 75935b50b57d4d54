//! Real servers, which nobody here wrote.
