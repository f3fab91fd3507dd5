//! What the system is set to: display, buffers, Wi-Fi, processor, clock, and what else is installed.

use super::findings::Finding;
use super::tools::{Answer, asked, read};
use crate::capture::screen;
use std::fs;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::rust_connection::RustConnection;

/// What the sockets ask for (`net/udp.rs`).
const WANTED: [(&str, u64); 2] = [("rmem_max", 4 << 20), ("wmem_max", 512 << 10)];

pub fn display() -> Finding {
    let what = "display";
    let wayland = std::env::var_os("WAYLAND_DISPLAY").is_some_and(|name| !name.is_empty());
    let (connection, screen) = match x11rb::connect(None) {
        Ok(connected) => connected,
        Err(x11rb::errors::ConnectError::DisplayParsingError(_)) => {
            return Finding::wrong(what, "$DISPLAY names none", "start it on the machine with the screen, or say --no-window");
        }
        Err(error) => {
            let mend = if wayland { "install Xwayland" } else { "set DISPLAY, or say --no-window" };
            return Finding::wrong(what, format!("no X server answers ({error})"), mend);
        }
    };
    let Some(root) = connection.setup().roots.get(screen) else {
        return Finding::wrong(what, "the X server has no screen", "say --no-window");
    };
    let size = format!("{}x{}", root.width_in_pixels, root.height_in_pixels);
    let kind = if wayland { "Xwayland" } else { "X11" };
    let rates = connection.randr_get_screen_info(root.root).ok().and_then(|cookie| cookie.reply().ok());
    let rate = rates.filter(|info| info.rate > 0).map(|info| format!(" at {} Hz", info.rate)).unwrap_or_default();
    if shares_memory(&connection) {
        return Finding::ok(what, format!("{kind}, {size}{rate}, pictures are shared with it (MIT-SHM)"));
    }
    let mend = "over ssh -X pictures go through the connection: run it on the machine with the screen";
    Finding::better(what, format!("{kind}, {size}{rate}, without MIT-SHM"), mend)
}

/// This screen as a source, where a Wayland desktop shows it.
pub fn wayland_screen(which: &screen::Which) -> Option<Finding> {
    let what = "screen";
    Some(match screen::on_wayland(which)? {
        Ok(kinds) => Finding::ok(what, format!("the desktop's portal shows {kinds}, and asks which")),
        // It says what to do.
        Err(error) => Finding { mend: None, ..Finding::wrong(what, error.to_string(), "") },
    })
}

/// Whether memory really is shared: over a network, and out of a container, the extension is there and does not work.
fn shares_memory(connection: &RustConnection) -> bool {
    let made = || {
        connection.extension_information(shm::X11_EXTENSION_NAME).ok()??;
        let segment = connection.generate_id().ok()?;
        connection.shm_create_segment(segment, 4096, false).ok()?.reply().ok()
    };
    made().is_some()
}

pub fn buffers() -> Vec<Finding> {
    let judged = |(name, wanted): (&str, u64)| {
        let granted: u64 = read(format!("/proc/sys/net/core/{name}"))?.parse().ok()?;
        let what = format!("net.core.{name}");
        Some(if granted >= wanted {
            Finding::ok(what, granted.to_string())
        } else {
            let found = format!("{granted}, and large pictures want {wanted} where the machine is busy");
            Finding::better(what.clone(), found, format!("sudo sysctl -w {what}={wanted}"))
        })
    };
    WANTED.into_iter().filter_map(judged).collect()
}

pub fn wireless() -> Vec<Finding> {
    let interfaces = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let wireless = interfaces.filter(|interface| interface.path().join("wireless").exists());
    let judged = |interface: fs::DirEntry| {
        let name = interface.file_name().to_string_lossy().into_owned();
        let what = format!("Wi-Fi {name}");
        let said = |args: &[&str]| match asked("iw", &[&["dev", &name], args].concat()) {
            Answer::Said(text) => Some(text),
            _ => None,
        };
        let Some(saves) = said(&["get", "power_save"]) else {
            let mend = "sudo apt install iw, and say this again";
            return Finding::better(what, "whether it saves power is not known: iw does not say it", mend);
        };
        let link = said(&["link"]).unwrap_or_default();
        let rate = link.lines().find_map(|line| line.trim().strip_prefix("tx bitrate: ")).map(str::to_string);
        let found = rate.unwrap_or_else(|| "not connected".into());
        if saves.ends_with(": on") {
            let mend = format!("sudo iw dev {name} set power_save off");
            return Finding::better(what, format!("{found}; it saves power, which holds packets for 100 ms and more"), mend);
        }
        Finding::ok(what, found)
    };
    wireless.map(judged).collect()
}

/// Where the CPUs' speed is set.
const SPEED: &str = "/sys/devices/system/cpu/cpu0/cpufreq";

pub fn processor() -> Vec<Finding> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let of_cores = Finding::ok("processor", if cores == 1 { "1 core".into() } else { format!("{cores} cores") });
    let of = |name: &str| read(format!("{SPEED}/{name}")).unwrap_or_default();
    let governor = of("scaling_governor");
    let of_governor =
        (!governor.is_empty()).then(|| governs(&governor, &of("scaling_driver"), &of("scaling_available_governors")));
    [of_cores].into_iter().chain(of_governor).collect()
}

/// Of two drivers `powersave` is the name of what goes as fast as is needed.
fn governs(governor: &str, driver: &str, others: &str) -> Finding {
    if governor != "powersave" || ["intel_pstate", "amd-pstate-epp"].contains(&driver) {
        return Finding::ok("CPU governor", governor);
    }
    let others: Vec<&str> = others.split_whitespace().collect();
    let better = ["schedutil", "ondemand", "performance"].into_iter().find(|name| others.contains(name)).unwrap_or("performance");
    let mend = format!("echo {better} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
    Finding::better("CPU governor", "powersave: it stays at its lowest speed", mend)
}

/// `needed`: a film is to be played.
pub fn ffmpeg(needed: bool) -> Finding {
    match asked("ffmpeg", &["-version"]) {
        Answer::Said(text) => {
            let version = text.split_whitespace().nth(2).unwrap_or("there").to_string();
            Finding::ok("ffmpeg", version)
        }
        _ if needed => Finding::wrong("ffmpeg", "not there: films need it", "sudo apt install ffmpeg"),
        _ => Finding::better("ffmpeg", "not there: films and addresses (--file) need it", "sudo apt install ffmpeg"),
    }
}

pub fn clock() -> Option<Finding> {
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource")?;
    let slow = ["hpet", "acpi_pm", "jiffies"].contains(&source.as_str());
    let mend = "the kernel found the processor's own clock unsteady: look for `tsc` in dmesg";
    Some(if slow {
        Finding::better("clock", format!("{source}: each look at it takes a microsecond and more"), mend)
    } else {
        Finding::ok("clock", source)
    })
}

#[cfg(test)]
mod tests {
    use super::super::findings::Verdict;
    use super::*;

    #[test]
    fn a_processor_that_stays_slow_is_told_from_one_whose_driver_calls_it_so() {
        let slow = governs("powersave", "intel_cpufreq", "performance ondemand powersave");
        assert!(slow.verdict == Verdict::Better && slow.mend.unwrap().starts_with("echo ondemand | "));
        assert_eq!(governs("powersave", "amd-pstate-epp", "performance powersave").verdict, Verdict::Ok);
        assert_eq!(governs("schedutil", "acpi-cpufreq", "schedutil powersave").verdict, Verdict::Ok);
    }
}
