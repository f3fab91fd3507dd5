//! `recv`: shows and plays what a `send` sends.

fn main() {}
