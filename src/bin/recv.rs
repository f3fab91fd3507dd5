//! `recv`: shows and plays what a `send` sends.

fn main() -> std::process::ExitCode {
    eyeline::app::run_recv()
}
