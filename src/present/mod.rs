//! Where pictures and sound go: the window, the speaker, and files.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

pub mod canvas;
mod desktop;
mod direct;
pub mod exit_hook;
mod keymap;
pub mod keys;
mod letters;
pub mod overlay;
mod pixels;
pub mod renderer;
mod scale;
pub mod speaker;
mod surface;
pub mod window;
pub mod writers;
