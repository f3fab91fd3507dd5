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
        let mut text = String::new();
        for cause in self.error.chain() {
            let cause = cause.to_string();
            // Many errors tell their cause in their own sentence.
            if !text.contains(&cause) {
                text.push_str(if text.is_empty() { "" } else { ": " });
                text.push_str(&cause);
            }
        }
        f.write_str(&text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot create a.y4m: {0}; does its folder exist?")]
    struct Create(#[source] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let gone = || std::io::Error::from_raw_os_error(2);
        let failed: Result<(), _> = Err(Create(gone())).code(ExitCode::Failed);
        let told = "cannot create a.y4m: No such file or directory (os error 2); does its folder exist?";
        assert_eq!(failed.expect_err("it is one").to_string(), told);
        let wrapped = anyhow::Error::from(gone()).context("cannot read the key");
        let failed: Result<(), _> = Err(wrapped).code(ExitCode::Failed);
        assert_eq!(failed.expect_err("it is one").to_string(), "cannot read the key: No such file or directory (os error 2)");
    }
}
