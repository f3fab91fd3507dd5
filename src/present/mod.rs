//! Where pictures and sound go: the window, the speaker, and files.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

mod bindings;
pub mod canvas;
mod clicks;
mod compositor;
mod damage;
mod desktop;
mod direct;
mod drop;
pub mod exit_hook;
mod feed;
mod frame;
pub mod geometry;
mod grid;
mod keymap;
pub mod keys;
mod letters;
mod meter;
pub mod mixer;
mod mouse;
pub mod overlay;
mod pixels;
mod renderer;
pub mod ring_tone;
mod scale;
pub mod scene;
pub mod speaker;
mod surface;
pub mod typing;
mod voice;
pub mod window;
pub mod writers;
