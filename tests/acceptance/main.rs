//! What must hold, line by line. Test names begin with the number of the line that they show.

mod discovery;
mod freshness;
mod layer;
mod secrets;
mod token_endpoint;
