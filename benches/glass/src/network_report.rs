//! The tables of the network bench, and how its figures stand against what Eyeline must reach.

use crate::outcome::Outcome;
use crate::peers::{Kind, Peer};
use crate::scenarios::{Scenario, Script};

/// What was measured, in the order it was; nothing where a peer failed.
pub type Outcomes = [(&'static Scenario, &'static Peer, Option<Outcome>)];

/// Prints all, in Markdown.
pub fn print(outcomes: &Outcomes) {
    steady(outcomes);
    rates(outcomes);
    pulled(outcomes);
    println!();
    for verdict in verdicts(outcomes) {
        println!("{verdict}");
    }
}

fn find(outcomes: &Outcomes, scenario: &str, key: &str) -> Option<Outcome> {
    outcomes.iter().find(|(s, p, _)| s.name == scenario && p.key == key).and_then(|(_, _, outcome)| *outcome)
}

/// A number, or a dash where there is none.
fn number(value: f64, digits: usize) -> String {
    if value.is_infinite() {
        "never".into()
    } else if value.is_nan() {
        "–".into()
    } else {
        format!("{value:.digits$}")
    }
}

fn three(values: [f64; 3], digits: usize) -> String {
    values.map(|value| number(value, digits)).join(", ")
}

fn steady(outcomes: &Outcomes) {
    let rows: Vec<_> = outcomes.iter().filter(|(scenario, ..)| matches!(scenario.script, Script::Steady(_))).collect();
    if rows.is_empty() {
        return;
    }
    println!(
        "\n| loss each way, round trip | | whole % | shown % | longest freeze ms | p50 | p99 ms | Mbit/s | of the clean link's |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for (scenario, peer, outcome) in rows {
        let Some(outcome) = outcome else {
            println!("| {} | {} | failed | | | | | | |", scenario.title, peer.title);
            continue;
        };
        let clean = find(outcomes, scenario.clean, peer.key).map_or(f64::NAN, |clean| clean.mbit);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            scenario.title,
            peer.title,
            number(outcome.whole * 100.0, 2),
            number(outcome.shown * 100.0, 1),
            number(outcome.freeze_ms, 0),
            number(outcome.p50, 1),
            number(outcome.p99, 1),
            number(outcome.mbit, 1),
            number(outcome.mbit / clean, 2)
        );
    }
}

fn rates(outcomes: &Outcomes) {
    let rows: Vec<_> = outcomes.iter().filter(|(scenario, ..)| matches!(scenario.script, Script::Rates(..))).collect();
    if rows.is_empty() {
        return;
    }
    println!(
        "\n| rate, 10 s each | | whole % | shown % | longest freeze ms | latency back after ms | p50 ms | share of the rate % | dropped % | standing queue p50 ms | p95 ms |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (scenario, peer, outcome) in rows {
        let Some((outcome, rates)) = outcome.as_ref().and_then(|outcome| Some((outcome, outcome.rates?))) else {
            println!("| {} | {} | failed | | | | | | | | |", scenario.title, peer.title);
            continue;
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            scenario.title,
            peer.title,
            number(outcome.whole * 100.0, 1),
            number(outcome.shown * 100.0, 1),
            number(outcome.freeze_ms, 0),
            three(rates.settle_ms, 0),
            three(rates.p50, 0),
            three(rates.share.map(|share| share * 100.0), 0),
            three(rates.dropped.map(|share| share * 100.0), 0),
            three(rates.standing_ms, 0),
            three(rates.standing95_ms, 0)
        );
    }
}

fn pulled(outcomes: &Outcomes) {
    let rows: Vec<_> = outcomes.iter().filter(|(scenario, ..)| matches!(scenario.script, Script::Pulled(_))).collect();
    if rows.is_empty() {
        return;
    }
    println!("\n| link | | new picture after its return ms | longest freeze ms | p50 before | and after ms |");
    println!("|---|---|--:|--:|--:|--:|");
    for (scenario, peer, outcome) in rows {
        let Some((outcome, pulled)) = outcome.as_ref().and_then(|outcome| Some((outcome, outcome.pulled?))) else {
            println!("| {} | {} | failed | | | |", scenario.title, peer.title);
            continue;
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            scenario.title,
            peer.title,
            number(pulled.back_ms, 0),
            number(outcome.freeze_ms, 0),
            number(pulled.p50[0], 1),
            number(pulled.p50[1], 1)
        );
    }
}

/// One line for each target that could be measured.
fn verdicts(outcomes: &Outcomes) -> Vec<String> {
    let own = |scenario: &str| find(outcomes, scenario, "eyeline");
    let mut lines = Vec::new();
    let mut verdict = |met: bool, text: String| lines.push(format!("- {} {text}", if met { "met   " } else { "MISSED" }));
    if let Some(seen) = own("loss5-rtt2") {
        let whole = seen.whole * 100.0;
        verdict(whole >= 99.5, format!("5 % loss, 2 ms: {whole:.2} % whole, wanted at least 99.5 %"));
        if let Some(clean) = own("loss0-rtt2") {
            let limit = clean.p99 + 15.0;
            verdict(seen.p99 <= limit, format!("5 % loss, 2 ms: p99 {:.1} ms, wanted at most {limit:.1} ms", seen.p99));
        }
    }
    if let Some(seen) = own("loss5-rtt60") {
        let whole = seen.whole * 100.0;
        verdict(whole >= 99.0, format!("5 % loss, 60 ms: {whole:.2} % whole, wanted at least 99 %"));
        if let Some(clean) = own("loss0-rtt60") {
            let extra = (seen.mbit / clean.mbit - 1.0) * 100.0;
            verdict(extra <= 25.0, format!("5 % loss, 60 ms: {extra:.1} % more bytes, wanted at most 25 %"));
        }
    }
    for (name, title) in [("loss10-rtt2", "10 % loss, 2 ms"), ("loss10-rtt60", "10 % loss, 60 ms")] {
        if let Some(seen) = own(name) {
            verdict(seen.freeze_ms <= 100.0, format!("{title}: longest freeze {:.0} ms, wanted at most 100 ms", seen.freeze_ms));
        }
    }
    if let Some(rates) = own("rate").and_then(|seen| seen.rates) {
        let [_, settle, _] = rates.settle_ms;
        let (share, standing) = (rates.share[1] * 100.0, rates.standing_ms[1]);
        verdict(settle <= 2000.0, format!("20 → 5 Mbit/s: latency back after {}, wanted 2000 ms", number(settle, 0)));
        verdict(share >= 85.0, format!("at 5 Mbit/s: {share:.0} % of it used, wanted at least 85 %"));
        verdict(standing < 30.0, format!("at 5 Mbit/s: standing queue {standing:.0} ms, wanted less than 30 ms"));
    }
    for (name, title) in [("pulled2", "pulled for 2 s"), ("pulled10", "pulled for 10 s")] {
        if let Some(pulled) = own(name).and_then(|seen| seen.pulled) {
            let back = number(pulled.back_ms, 0);
            verdict(pulled.back_ms <= 500.0, format!("{title}: a new picture {back} ms after its return, wanted 500 ms"));
        }
    }
    lines.extend(beaten(outcomes));
    lines
}

/// Differences smaller than these are the meter's: a thousandth of the pictures, one picture's time.
const SAME_WHOLE: f64 = 0.001;
const SAME_FREEZE_MS: f64 = 34.0;

/// Where a peer is ahead of Eyeline on whole pictures or on the longest freeze.
fn beaten(outcomes: &Outcomes) -> Vec<String> {
    let (mut ahead, mut alike, mut lines) = (0, 0, Vec::new());
    for (scenario, peer, theirs) in outcomes.iter().filter(|(_, peer, _)| peer.kind == Kind::Peer) {
        let (Some(own), Some(theirs)) = (find(outcomes, scenario.name, "eyeline"), theirs) else { continue };
        let mut compare = |gain: f64, same: f64, text: String| match gain {
            gain if gain > same => ahead += 1,
            gain if gain >= -same => alike += 1,
            _ => lines.push(format!("- MISSED {}: {text}", scenario.title)),
        };
        let whole = format!("{:.2} % whole, {} {:.2} %", own.whole * 100.0, peer.title, theirs.whole * 100.0);
        compare(own.whole - theirs.whole, SAME_WHOLE, whole);
        let freeze = format!("longest freeze {:.0} ms, {} {:.0} ms", own.freeze_ms, peer.title, theirs.freeze_ms);
        compare(theirs.freeze_ms - own.freeze_ms, SAME_FREEZE_MS, freeze);
    }
    if ahead + alike > 0 {
        let word = if lines.is_empty() { "met   " } else { "MISSED" };
        lines.push(format!(
            "- {word} ahead of a peer on whole pictures or the longest freeze {ahead} times, as good {alike}, behind {}",
            lines.len()
        ));
    }
    lines
}
