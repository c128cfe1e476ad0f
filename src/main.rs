//! The program: reads the command line, and does what it says.

use std::process::ExitCode;

use clap::Parser as _;
use user_management::cli::Cli;

/// Gives memory back to the operating system sooner than the system's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
