//! What a program says of itself with `--stats json`.

use crate::rig::Running;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex, PoisonError};

/// The latest lines of a program.
pub struct Said(Arc<Mutex<Latest>>);

#[derive(Default)]
struct Latest {
    line: Value,
    /// By its `role`, of a program that has more than one.
    roles: HashMap<String, Value>,
}

impl Said {
    /// Reads its stdout, which is piped, until it ends.
    pub fn of(program: &mut Running) -> Result<Said, String> {
        let stdout = program.stdout().ok_or("no stdout")?;
        let latest = Arc::<Mutex<Latest>>::default();
        let said = Said(Arc::clone(&latest));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str::<Value>(&line) {
                    let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(role) = value["role"].as_str() {
                        latest.roles.insert(role.into(), value.clone());
                    }
                    latest.line = value;
                }
            }
        });
        Ok(said)
    }

    /// Null before the first.
    pub fn latest(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).line.clone()
    }

    /// Of what a `call` says as `send`, or as `recv`.
    pub fn latest_of(&self, role: &str) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).roles.get(role).cloned().unwrap_or_default()
    }
}

/// NaN where it is none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
