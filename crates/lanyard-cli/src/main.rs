//! `lanyard`: the library `lanyard_cli` as a program.

use std::process::ExitCode;

/// Wipes what is freed: credentials go through buffers of serde, hyper, TLS and gRPC, which wipe
/// nothing themselves.
#[global_allocator]
static WIPING: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    lanyard_cli::main()
}
