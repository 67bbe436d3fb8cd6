//! The program: arguments, configuration, telemetry, then the daemon or one command.
fn main() {}
