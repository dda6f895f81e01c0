//! Compiles the messages of the journal without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo::rerun-if-changed={root}/lanyard/journal");
    let descriptors = protox::compile([format!("{root}/lanyard/journal/v1/record.proto")], [root])?;
    // Sorted maps: the same record has the same bytes in every process.
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
