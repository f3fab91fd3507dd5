//! What was found of one thing, and how it is said.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, and could work better.
    Better,
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    pub verdict: Verdict,
    /// What is so.
    pub found: String,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Finding {
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { what: what.into(), verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    pub fn better(what: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { what: what.into(), verdict: Verdict::Better, found: found.into(), mend: Some(mend.into()) }
    }

    pub fn wrong(what: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Finding { what: what.into(), verdict: Verdict::Wrong, found: found.into(), mend: Some(mend.into()) }
    }

    /// For people.
    pub fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok    ",
            Verdict::Better => "better",
            Verdict::Wrong => "WRONG ",
        };
        let mend = self.mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default();
        format!("{verdict}  {}: {}{mend}", self.what, self.found)
    }

    /// For programs.
    pub fn object(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Better => "better",
            Verdict::Wrong => "wrong",
        };
        json!({ "what": self.what, "verdict": verdict, "found": self.found, "mend": self.mend })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_what_to_do_and_an_object_with_the_same() {
        let finding = Finding::wrong("port", "9688 is taken", "close it");
        assert_eq!(finding.line(), "WRONG   port: 9688 is taken; close it");
        assert_eq!(Finding::ok("ffmpeg", "5.1").line(), "ok      ffmpeg: 5.1");
        assert_eq!(finding.object(), json!({ "what": "port", "verdict": "wrong", "found": "9688 is taken", "mend": "close it" }));
    }
}
