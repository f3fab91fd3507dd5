//! What a program says of itself with `--stats json`.

use crate::rig::Running;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex, PoisonError};

/// The latest line of a program.
pub struct Said(Arc<Mutex<Value>>);

impl Said {
    /// Reads its stdout, which is piped, until it ends.
    pub fn of(program: &mut Running) -> Result<Said, String> {
        let stdout = program.stdout().ok_or("no stdout")?;
        let latest = Arc::<Mutex<Value>>::default();
        let said = Said(Arc::clone(&latest));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    *latest.lock().unwrap_or_else(PoisonError::into_inner) = value;
                }
            }
        });
        Ok(said)
    }

    /// Null before the first.
    pub fn latest(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// NaN where it is none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
