//! `call`: a camera and a microphone, to whoever watches.

fn main() -> std::process::ExitCode {
    eyeline::app::run_call()
}
