//! Measures tower-oauth, and says how.

pub mod fleet;
