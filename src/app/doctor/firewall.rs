//! The firewall of this machine, where one is found: whether it lets the port in, and the command that opens it.
//!
//! What only root may read is said to be so, and not to be fine.

use super::super::args::{Common, PORT};
use super::findings::Finding;
use super::tools::{self, Answer};
use std::path::Path;

const WHAT: &str = "firewall";

pub fn firewall(common: &Common) -> Finding {
    let Some(address) = common.rendezvous.wait else { return Finding::ok(WHAT, "not in the way of who dials") };
    let port = if address.port() == 0 { PORT } else { address.port() };
    if tools::read("/etc/ufw/ufw.conf").is_some_and(|text| text.lines().any(|line| line.trim() == "ENABLED=yes")) {
        return ufw(tools::read("/etc/ufw/user.rules").as_deref(), port);
    }
    if matches!(tools::asked("firewall-cmd", &["--state"]), Answer::Said(state) if state == "running") {
        let is_open = |kind| matches!(tools::asked("firewall-cmd", &[&format!("--query-port={port}/{kind}")]), Answer::Said(_));
        if is_open("udp") && is_open("tcp") {
            return Finding::ok(WHAT, format!("firewalld, and {port} is open"));
        }
        let add = format!("firewall-cmd --add-port={port}/udp --add-port={port}/tcp");
        return Finding::better(
            WHAT,
            format!("firewalld, and {port} is not open"),
            format!("sudo {add} && sudo {add} --permanent"),
        );
    }
    // Without its module the kernel filters nothing.
    let filters = ["nf_tables", "ip_tables"].iter().any(|name| Path::new("/sys/module").join(name).exists());
    match tools::asked("nft", &["list", "ruleset"]) {
        Answer::Said(rules) => nft(&rules, port),
        _ if !filters => Finding::ok(WHAT, "none is found"),
        Answer::Refused => Finding::better(WHAT, "whether there is one only root can see", "say the same with sudo"),
        Answer::Absent => {
            Finding::better(WHAT, "there may be one: nft, which would say, is not there", "sudo apt install nftables")
        }
    }
}

/// `rules` are root's to read on many a machine.
fn ufw(rules: Option<&str>, port: u16) -> Finding {
    let allows = |rules: &str, kind: &str| {
        let wanted = [format!("-p {kind} --dport {port} "), format!("--dport {port} ")];
        rules.lines().any(|line| line.ends_with("-j ACCEPT") && wanted.iter().all(|part| line.contains(part)))
    };
    let mend = format!("sudo ufw allow {port}");
    match rules {
        Some(rules) if allows(rules, "udp") && allows(rules, "tcp") => Finding::ok(WHAT, format!("ufw, and {port} is open")),
        Some(_) => Finding::better(WHAT, format!("ufw, and {port} is not open for UDP and TCP"), mend),
        None => Finding::better(WHAT, format!("ufw; whether {port} is open only root can see"), format!("{mend}, if it is not")),
    }
}

/// A chain that what comes in goes through.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    /// `inet filter input`.
    name: String,
    drops: bool,
    /// This port is accepted.
    udp: bool,
    tcp: bool,
}

fn nft(rules: &str, port: u16) -> Finding {
    let Some(chain) = input_chains(rules, port).into_iter().find(|chain| chain.drops) else {
        return Finding::ok(WHAT, "none that drops what it does not know");
    };
    if chain.udp && chain.tcp {
        return Finding::ok(WHAT, format!("nft, and {port} is open"));
    }
    let insert = |kind| format!("sudo nft insert rule {} {kind} dport {port} accept", chain.name);
    let mend = format!("{} && {}", insert("udp"), insert("tcp"));
    Finding::better(WHAT, format!("nft drops what it does not know ({})", chain.name), mend)
}

/// Of what `nft list ruleset` prints.
fn input_chains(rules: &str, port: u16) -> Vec<Chain> {
    let (mut table, mut chains, mut chain, mut is_input) = (String::new(), Vec::new(), Chain::default(), false);
    for line in rules.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ").and_then(|rest| rest.strip_suffix(" {")) {
            table = name.to_string();
        } else if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            (chain, is_input) = (Chain { name: format!("{table} {name}"), ..Chain::default() }, false);
        } else if line.starts_with("type filter hook input ") {
            (is_input, chain.drops) = (true, line.contains("policy drop"));
        } else if line == "}" {
            chains.extend(is_input.then(|| std::mem::take(&mut chain)));
            is_input = false;
        } else if line.contains("dport") && line.ends_with("accept") && names(line, port) {
            chain.udp |= !line.starts_with("tcp");
            chain.tcp |= !line.starts_with("udp");
        } else if ["drop", "reject"]
            .iter()
            .any(|end| line == *end || line.starts_with("reject ") || line.starts_with("counter ") && line.ends_with(end))
        {
            // The last rule, which everything comes to.
            chain.drops = true;
        }
    }
    chains
}

/// Whether a rule speaks of this port, alone, in a list or between two others.
fn names(rule: &str, port: u16) -> bool {
    let numbers = rule.split(|letter: char| !letter.is_ascii_digit() && letter != '-').filter(|word| !word.is_empty());
    numbers.into_iter().any(|word| match word.split_once('-') {
        Some((from, to)) => from.parse().is_ok_and(|from: u16| from <= port) && to.parse().is_ok_and(|to: u16| port <= to),
        None => word.parse() == Ok(port),
    })
}

#[cfg(test)]
mod tests {
    use super::super::findings::Verdict;
    use super::*;

    const DROPS: &str = "table inet mine {\n\tchain incoming {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tct state established accept\n\t\ttcp dport { 22, 9688 } accept\n\t}\n}";

    #[test]
    fn a_firewall_that_drops_what_it_does_not_know_is_opened_in_the_chain_it_has() {
        let closed = nft(DROPS, 9688);
        assert_eq!(closed.verdict, Verdict::Better);
        let mend = closed.mend.unwrap();
        assert!(mend.starts_with("sudo nft insert rule inet mine incoming udp dport 9688 accept && "), "{mend}");
        let open = DROPS.replace("ct state", "udp dport 9000-9700 accept\nct state");
        assert_eq!(nft(&open, 9688), Finding::ok(WHAT, "nft, and 9688 is open"));
        assert_eq!(nft(&open, 9701).verdict, Verdict::Better);
        assert_eq!(nft(&DROPS.replace("policy drop", "policy accept"), 9688).verdict, Verdict::Ok);
        let last =
            DROPS.replace("policy drop", "policy accept").replace("\n\t}\n}", "\n\t\tcounter packets 4 bytes 240 drop\n\t}\n}");
        assert_eq!(nft(&last, 9688).verdict, Verdict::Better, "its last rule drops");
        let forwards = DROPS.replace("hook input", "hook forward");
        assert_eq!((nft(&forwards, 9688).verdict, nft("", 9688).verdict), (Verdict::Ok, Verdict::Ok));
    }

    #[test]
    fn ufw_lets_a_port_in_where_both_protocols_are_allowed() {
        let rule = |kind: &str| format!("-A ufw-user-input -p {kind} --dport 9688 -j ACCEPT\n");
        assert_eq!(ufw(Some(&(rule("tcp") + &rule("udp"))), 9688).verdict, Verdict::Ok);
        assert_eq!(ufw(Some(&rule("udp")), 9688).verdict, Verdict::Better, "sound goes over TCP");
        assert_eq!(ufw(Some(&(rule("tcp") + &rule("udp"))), 968).verdict, Verdict::Better);
        assert!(ufw(None, 9688).mend.unwrap().ends_with("if it is not"));
    }
}
