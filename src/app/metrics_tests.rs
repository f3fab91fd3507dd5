//! The page of metrics: its format, and that names and kinds are those that are documented.

use super::*;
use serde_json::json;
use std::collections::BTreeSet;

const MEASUREMENTS: &str = include_str!("../../docs/measurements.md");
const BOARD: &str = include_str!("../../docs/grafana.json");
const README: &str = include_str!("../../README.md");

#[test]
fn an_object_becomes_lines_each_after_its_kind() {
    let send = json!({
        "role": "send", "pictures": 7, "fps": 29, "missed": null, "size": [640, 360], "rejected": {"forged": 2},
        "peers": [{"name": "a\"b\\c\nd", "address": "[::1]:5", "bytes": 10, "quiet": true, "rtt_ms": null}],
    });
    let recv = json!({
        "role": "recv", "lip_ms": -1.5, "latency_ms": {"all": {"p50": 3.25, "p95": 4, "p99": 5}, "hold": null},
        "tracks": [{"sender": 1, "track": 0, "name": "lab", "shown": 3, "sound": {"underflows": 4, "level_ms": 12.5}}],
    });
    let text = render([&send, &recv].into_iter());
    for line in [
        "# TYPE eyeline_send_pictures_total counter\neyeline_send_pictures_total 7",
        "# TYPE eyeline_send_fps gauge\neyeline_send_fps 29",
        "\neyeline_send_width 640",
        "\neyeline_send_height 360",
        "\neyeline_send_rejected_total{reason=\"forged\"} 2",
        "\neyeline_send_peer_bytes_total{name=\"a\\\"b\\\\c\\nd\",address=\"[::1]:5\"} 10",
        "\neyeline_send_peer_quiet{name=\"a\\\"b\\\\c\\nd\",address=\"[::1]:5\"} 1",
        "\neyeline_recv_lip_ms -1.5",
        "\neyeline_recv_latency_ms{stage=\"all\",quantile=\"0.5\"} 3.25",
        "\neyeline_recv_latency_ms{stage=\"all\",quantile=\"0.95\"} 4",
        "\neyeline_recv_track_shown_total{name=\"lab\",sender=\"1\",track=\"0\"} 3",
        "\neyeline_recv_track_sound_underflows_total{name=\"lab\",sender=\"1\",track=\"0\"} 4",
        "\neyeline_recv_track_sound_level_ms{name=\"lab\",sender=\"1\",track=\"0\"} 12.5",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("missed") && !text.contains("hold") && !text.contains("rtt_ms"), "{text}");
    assert!(text.lines().all(|line| line.starts_with('#') || line.split_once(' ').is_some()), "{text}");
}

/// The fields of `docs/measurements.md` by where they stand, each with its kind.
fn documented() -> BTreeMap<String, String> {
    let (mut fields, mut role) = (BTreeMap::new(), "");
    for line in MEASUREMENTS.lines() {
        role = match line {
            "## `recv`" => "recv",
            "## `send`" => "send",
            _ => role,
        };
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(names), Some(kinds)) = (cells.next(), cells.next()) else { continue };
        let kinds: Vec<&str> = kinds.split(", ").collect();
        for (place, name) in names.split('`').skip(1).step_by(2).enumerate() {
            let within = if role == "recv" { "tracks" } else { "peers" };
            let place_of = name.strip_prefix('.').map_or(format!("{role}.{name}"), |own| format!("{role}.{within}.{own}"));
            fields.insert(place_of, kinds[place.min(kinds.len() - 1)].to_string());
        }
    }
    fields
}

#[test]
fn what_is_documented_as_a_total_is_a_counter_and_nothing_else_is() {
    let documented = documented();
    let totals: BTreeSet<String> =
        documented.iter().filter(|(_, kind)| *kind == "total").map(|(field, _)| field.clone()).collect();
    // A track's sound is as that of all; how many there ever were is told at the end alone.
    let sound = totals.iter().filter_map(|field| field.strip_prefix("recv.sound.")).map(|own| format!("recv.tracks.sound.{own}"));
    let mut wanted: BTreeSet<String> = totals.iter().cloned().chain(sound).collect();
    assert!(wanted.remove("send.peers_seen") && wanted.len() > 60, "{wanted:?}");
    assert_eq!(TOTALS.iter().map(|field| field.to_string()).collect::<BTreeSet<_>>(), wanted);
}

/// Every word of the text that is the name of a metric.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("eyeline_")).collect()
}

#[test]
fn every_metric_of_the_board_and_the_readme_is_a_field_that_there_is() {
    let begun = [("send", json!({"role": "send", "peers": [{}]})), ("recv", json!({"role": "recv", "tracks": [{}]}))];
    let mut object: BTreeMap<&str, Value> = begun.into();
    for field in documented().keys() {
        let place: Vec<&str> = field.split('.').collect();
        let Some(all) = object.get_mut(place[0]) else { continue };
        match place[1..] {
            [list @ ("peers" | "tracks"), own] => all[list][0][own] = json!(1),
            ["size"] => all["size"] = json!([1, 1]),
            ["rejected"] => all["rejected"]["forged"] = json!(1),
            ["latency_ms", stage] => all["latency_ms"][stage] = json!({"p50": 1}),
            [of @ ("sound" | "echo"), own] => all[of][own] = json!(1),
            ["role" | "peers[]" | "tracks" | "sound"] => {}
            [own] => all[own] = json!(1),
            _ => panic!("{field}"),
        }
    }
    let text = render(object.values());
    let there = named(&text);
    for (what, text) in [("the board", BOARD), ("the README", README)] {
        let named = named(text);
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(named.len() > 2 && unknown.is_empty(), "{what}: {unknown:?}");
    }
    assert!(serde_json::from_str::<Value>(BOARD).is_ok_and(|board| board["panels"].as_array().is_some_and(|all| all.len() > 5)));
}
