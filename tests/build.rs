//! Compiles the examples' greeter for the tests, without a `protoc` on the machine.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = "../examples/grpc";
    println!("cargo::rerun-if-changed={folder}/greeter.proto");
    tonic_prost_build::compile_fds(protox::compile(["greeter.proto"], [folder])?)?;
    Ok(())
}
