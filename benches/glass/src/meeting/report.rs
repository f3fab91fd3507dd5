//! The table, and how Eyeline's figures stand against webrtcbin's.

use crate::meeting::cast::{Voice, Who};
use crate::options::Case;
use crate::stats::quantile;

/// The most that a picture of a `call` may take, of what it takes between two of webrtcbin; and sound.
const WANTED: [f64; 2] = [0.5, 0.6];

/// At least so many of the pictures: what shows fewer is not compared with.
const SHOWN: f64 = 0.99;

/// At least so alike is sound without gaps: as it was heard, and where its spectrum was changed.
const ALIKE: [f64; 2] = [0.9, 0.5];

/// What was measured of one meeting; what a program does not say is NaN.
#[derive(Clone, Copy)]
pub struct Outcome {
    /// Of who waits, and the mean of those who dial and listen.
    pub loads: [Load; 2],
    /// Of who waits, MiB.
    pub memory: f64,
    /// Of one member, where it is seen.
    pub pictures_s: f64,
    /// From the source's writing to the screen, median and 95th percentile, ms.
    pub picture_ms: [f64; 2],
    /// From mouth to ear, the same.
    pub sound_ms: [f64; 2],
    /// How alike what is heard is to what was said.
    pub likeness: f64,
    /// Of a minute, what was made up for want of a packet.
    pub concealed_ms: f64,
    /// Blocks or packets a minute that came too late.
    pub late: f64,
}

/// What one program costs.
#[derive(Clone, Copy)]
pub struct Load {
    /// Of a core.
    pub cpu_percent: f64,
    /// Sent and received.
    pub mbit_s: [f64; 2],
}

impl Outcome {
    /// The median of each figure.
    pub fn middle(runs: &[Outcome]) -> Outcome {
        let median = |what: &dyn Fn(&Outcome) -> f64| quantile(&mut runs.iter().map(what).collect::<Vec<_>>(), 0.5);
        let load = |index: usize| Load {
            cpu_percent: median(&|outcome| outcome.loads[index].cpu_percent),
            mbit_s: [0, 1].map(|way| median(&|outcome| outcome.loads[index].mbit_s[way])),
        };
        Outcome {
            loads: [0, 1].map(load),
            memory: median(&|outcome| outcome.memory),
            pictures_s: median(&|outcome| outcome.pictures_s),
            picture_ms: [0, 1].map(|index| median(&|outcome| outcome.picture_ms[index])),
            sound_ms: [0, 1].map(|index| median(&|outcome| outcome.sound_ms[index])),
            likeness: median(&|outcome| outcome.likeness),
            concealed_ms: median(&|outcome| outcome.concealed_ms),
            late: median(&|outcome| outcome.late),
        }
    }
}

/// One meeting of the table.
pub type Row = (Who, Case, Outcome);

/// Prints what stands above the rows.
pub fn print_head(seconds: f64, runs: usize, floor_ms: f64) {
    println!(
        "\nMeetings, {seconds:.0} s each, medians of {runs}. One talks, another looks and hears. The sound server alone takes \
         {floor_ms:.1} ms from mouth to ear.\n"
    );
    println!(
        "| who | pictures | who waits: CPU % | MiB | up, down Mbit/s | who listens: CPU % | up, down Mbit/s | pictures/s | picture p50, p95 ms \
         | mouth to ear p50, p95 ms | likeness | concealed ms/min | late/min |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

/// Prints a row.
pub fn print_row(who: Who, case: Case, outcome: &Outcome) {
    let Outcome { loads: [waits, listens], memory, pictures_s, picture_ms, sound_ms, likeness, concealed_ms, late } = outcome;
    let pair = |[a, b]: [f64; 2], places: usize| format!("{a:.places$}, {b:.places$}");
    println!(
        "| {} | {case} | {:.1} | {memory:.1} | {} | {:.1} | {} | {pictures_s:.1} | {} | {} | {likeness:.2} | {concealed_ms:.0} | {late:.0} |",
        who.title(),
        waits.cpu_percent,
        pair(waits.mbit_s, 2),
        listens.cpu_percent,
        pair(listens.mbit_s, 2),
        pair(*picture_ms, 1),
        pair(*sound_ms, 1),
    );
}

/// Prints how two `call`s stand beside two of webrtcbin, each figure against the best that plays cleanly.
pub fn print_verdicts(rows: &[Row]) {
    println!();
    let shows = |case: Case, outcome: &Outcome| outcome.pictures_s >= SHOWN * case.fps as f64;
    verdict("picture", rows, WANTED[0], Voice::Cleaned, |outcome| outcome.picture_ms[0], |_, case, outcome| shows(case, outcome));
    for (what, voice, alike) in
        [("mouth to ear, both cleaned", Voice::Cleaned, ALIKE[1]), ("mouth to ear, both as heard", Voice::AsHeard, ALIKE[0])]
    {
        let plays = |its: Voice, _: Case, outcome: &Outcome| its == voice && outcome.likeness >= alike;
        verdict(what, rows, WANTED[1], voice, |outcome| outcome.sound_ms[0], plays);
    }
}

/// Two `call`s of that voice against the least `figure` of those pairs of webrtcbin that are `clean`.
fn verdict(
    what: &str,
    rows: &[Row],
    wanted: f64,
    voice: Voice,
    figure: impl Fn(&Outcome) -> f64,
    clean: impl Fn(Voice, Case, &Outcome) -> bool,
) {
    let pair = Who::Calls { members: 2, point: false, voice };
    let Some((_, case, own)) = rows.iter().find(|(who, ..)| *who == pair) else { return };
    let peers = rows.iter().filter_map(|(who, at, outcome)| {
        let Who::WebRtc { voice, .. } = who else { return None };
        (at == case && clean(*voice, *at, outcome)).then(|| (who, figure(outcome)))
    });
    let Some((who, best)) = peers.min_by(|a, b| a.1.total_cmp(&b.1)) else {
        println!("- not judged: {what}: no pair of webrtcbin played cleanly");
        return;
    };
    let (own, ratio) = (figure(own), figure(own) / best);
    let verdict = if ratio <= wanted { "met" } else { "**missed**" };
    println!("- {verdict}: {what}: p50 {own:.1} ms, {ratio:.2} x of {} ({best:.1} ms), wanted at most {wanted} x", who.title());
}
