//! What is asked for over HTTP: the figures of `--metrics`, and the page for browsers of `--web`.
//!
//! A [`server::Server`] owns a listening socket and one thread, which waits for all its connections at once. What is at an address
//! is its [`server::Site`]'s to say; who stays longer than for one answer is a [`server::Guest`], which has a place in the same
//! loop and never waits.

#![allow(clippy::disallowed_methods)] // waits for browsers: asks the time

pub mod answer;
#[cfg(feature = "web")]
pub mod audience;
#[cfg(feature = "web")]
pub mod board;
#[cfg(feature = "web")]
pub mod camera;
pub mod head;
#[cfg(feature = "web")]
mod house;
#[cfg(feature = "web")]
mod message;
#[cfg(feature = "web")]
mod multipart;
pub mod server;
mod stream;
#[cfg(feature = "web")]
pub mod tls;
#[cfg(feature = "web")]
pub mod token;
#[cfg(feature = "web")]
mod viewer;
