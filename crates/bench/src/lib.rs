//! Measures tower-oauth, and says how.

#[cfg(feature = "fleet")]
pub mod fleet;
