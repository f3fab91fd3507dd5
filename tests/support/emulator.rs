//! The library that emulates a camera (`tests/emulated_camera.c`), compiled once a test program. Needs a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The compiled emulation.
pub fn emulator() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (library, fresh) = (scratch.join("emulated_camera.so"), scratch.join(format!("camera-{}.so", std::process::id())));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulated_camera.c");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&fresh).arg(source).args(["-ldl", "-lpthread"]);
        assert!(cc.status().expect("a C compiler").success(), "{cc:?}");
        std::fs::rename(fresh, &library).unwrap(); // whole at any moment, also for another run beside this one
        library
    })
}
