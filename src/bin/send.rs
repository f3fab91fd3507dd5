//! `send`: a camera and a microphone, to whoever watches.

fn main() {}
