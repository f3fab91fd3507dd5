//! How a run fails: what to say, and with which exit code.

use super::status::ExitCode;
use std::fmt;

/// An error with the exit code it means.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub code: ExitCode,
    error: anyhow::Error,
    said: bool,
}

impl Failure {
    /// A failure of our own wording.
    pub fn new(code: ExitCode, sentence: impl Into<String>) -> Self {
        Failure { code, error: anyhow::Error::msg(sentence.into()), said: false }
    }

    /// The user has read it already.
    pub fn said(mut self) -> Self {
        self.said = true;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Gives an error its exit code.
pub trait Code<T> {
    /// See the trait.
    fn code(self, code: ExitCode) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Code<T> for Result<T, E> {
    fn code(self, code: ExitCode) -> Result<T, Failure> {
        self.map_err(|error| Failure { code, error: error.into(), said: false })
    }
}

/// Says what went wrong, if anything, and gives the exit code.
pub fn conclude(outcome: Result<ExitCode, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            if !failure.said {
                tracing::error!("{failure}");
            }
            failure.code
        }
    }
}
