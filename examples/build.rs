//! Compiles the greeter of the `grpc` example, without a `protoc` on the machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let proto = "grpc/greeter.proto";
    println!("cargo::rerun-if-changed={proto}");
    tonic_prost_build::compile_fds(protox::compile([proto], ["grpc"])?)?;
    Ok(())
}
