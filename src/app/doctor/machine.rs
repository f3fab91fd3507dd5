//! What the system is set to: display, firewall, buffers, Wi-Fi, processor, clock, and what else is installed.

use super::super::args::Common;
use super::findings::Finding;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::shm;

/// What the sockets ask for (`net/udp.rs`).
const WANTED: [(&str, u64); 2] = [("rmem_max", 4 << 20), ("wmem_max", 512 << 10)];

/// What a file of the kernel's says, trimmed.
fn read(path: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_string())
}

/// What a program prints; `None` where it is not there, or fails.
fn asked(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).env_remove("EYELINE_KEY");
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

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
    let shared = connection.extension_information(shm::X11_EXTENSION_NAME).ok().flatten().is_some();
    if shared {
        return Finding::ok(what, format!("{kind}, {size}{rate}, pictures are shared with it (MIT-SHM)"));
    }
    let mend = "over ssh -X pictures go through the connection: run it on the machine with the screen";
    Finding::better(what, format!("{kind}, {size}{rate}, without MIT-SHM"), mend)
}

pub fn firewall(common: &Common) -> Finding {
    let port = common.rendezvous.wait.map_or(super::super::args::PORT, |address| address.port());
    let ufw = read("/etc/ufw/ufw.conf").is_some_and(|text| text.lines().any(|line| line.trim() == "ENABLED=yes"));
    let firewalld = asked("firewall-cmd", &["--state"]).is_some_and(|state| state == "running");
    let open = ufw && read("/etc/ufw/user.rules").is_some_and(|rules| rules.contains(&format!("--dport {port} ")));
    let rules = asked("nft", &["list", "ruleset"]).unwrap_or_default();
    match (ufw, firewalld) {
        _ if common.rendezvous.wait.is_none() => Finding::ok("firewall", "not in the way of who dials"),
        (true, _) if open => Finding::ok("firewall", format!("ufw, and {port} is open")),
        (true, _) => Finding::better("firewall", "ufw is on", format!("sudo ufw allow {port}")),
        (_, true) => {
            let mend = format!("sudo firewall-cmd --add-port={port}/udp --add-port={port}/tcp");
            Finding::better("firewall", "firewalld is on", mend)
        }
        _ if drops(&rules) => {
            let mend = format!("sudo nft add rule inet filter input udp dport {port} accept, and the same for tcp");
            Finding::better("firewall", "nft drops what it does not know", mend)
        }
        _ => Finding::ok("firewall", "none is found"),
    }
}

/// Whether what comes in is dropped unless a rule says otherwise.
fn drops(rules: &str) -> bool {
    rules.lines().any(|line| line.contains("hook input") && line.contains("policy drop"))
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
        let link = asked("iw", &["dev", &name, "link"]).unwrap_or_default();
        let rate = link.lines().find_map(|line| line.trim().strip_prefix("tx bitrate: ")).map(str::to_string);
        let found = rate.unwrap_or_else(|| "its rate is not known (iw is not there)".into());
        match asked("iw", &["dev", &name, "get", "power_save"]) {
            Some(saves) if saves.ends_with(": on") => {
                let mend = format!("sudo iw dev {name} set power_save off");
                Finding::better(what, format!("{found}; it saves power, which holds packets for 100 ms and more"), mend)
            }
            _ => Finding::ok(what, found),
        }
    };
    wireless.map(judged).collect()
}

pub fn processor() -> Vec<Finding> {
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let of_cores = Finding::ok("processor", if cores == 1 { "1 core".into() } else { format!("{cores} cores") });
    let of_governor = governor.map(|governor| match governor.as_str() {
        "powersave" if !Path::new("/sys/devices/system/cpu/intel_pstate").exists() => {
            let mend = "echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
            Finding::better("CPU governor", "powersave: it stays at its lowest speed", mend)
        }
        _ => Finding::ok("CPU governor", governor),
    });
    [of_cores].into_iter().chain(of_governor).collect()
}

/// `needed`: a film is to be played.
pub fn ffmpeg(needed: bool) -> Finding {
    match asked("ffmpeg", &["-version"]) {
        Some(text) => {
            let version = text.split_whitespace().nth(2).unwrap_or("there").to_string();
            Finding::ok("ffmpeg", version)
        }
        None if needed => Finding::wrong("ffmpeg", "not there: films need it", "sudo apt install ffmpeg"),
        None => Finding::better("ffmpeg", "not there: films and addresses (--file) need it", "sudo apt install ffmpeg"),
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
    use super::*;

    #[test]
    fn a_firewall_that_drops_what_it_does_not_know_is_seen() {
        let chain = "table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n }\n}";
        assert!(drops(chain) && !drops(&chain.replace("drop", "accept")) && !drops(""));
    }
}
