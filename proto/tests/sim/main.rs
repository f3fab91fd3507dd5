//! Two (or more) session cores, virtual time, seeded links, a crystal for everything that has one. See `harness.rs`.
//!
//! `cargo test --test sim -- --nocapture` prints a table; `EYELINE_SIM_SEED=7` rolls other dice. Ceilings are in `ceilings.toml`.

mod admission;
mod attacks;
mod by_hand;
mod calls;
mod ceilings;
mod claims;
mod clocks;
mod connections;
mod crowds;
mod decoder;
mod delays;
mod films;
mod forwarders;
mod guesses;
mod harness;
mod limits;
mod losses;
mod many;
mod meetings;
mod memory;
mod moves;
mod mtus;
mod netem;
mod oscillator;
mod party;
mod policers;
mod rates;
mod raw;
mod receiving;
mod returns;
mod scenarios;
mod sending;
mod sounds;
mod source;
mod speaker;
mod stranger;
mod strangers;
mod talk;
mod tcp;
mod tokens;
mod viewer;
mod walk;
mod wants;
