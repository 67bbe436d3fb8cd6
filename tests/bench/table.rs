//! The rows, as a table for people.
//!
//! Owns: how figures are shown. Must not: judge them.

use serde::Serialize;

use super::proxy::Passed;

/// What the machine says a sync took.
#[derive(Debug)]
pub(crate) struct Figures {
    pub wall_ms: f64,
    pub cpu_ms: Option<f64>,
    pub peak_kb: Option<u64>,
}

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    who: &'static str,
    server: &'static str,
    contacts: usize,
    phase: &'static str,
    wall_ms: f64,
    cpu_ms: Option<f64>,
    peak_kb: Option<u64>,
    requests: u64,
    sent: u64,
    received: u64,
}

impl Row {
    pub(crate) fn new(
        who: &'static str,
        server: &'static str,
        contacts: usize,
        phase: &'static str,
        figures: &Figures,
        requests: u64,
        passed: &Passed,
    ) -> Self {
        let Figures { wall_ms, cpu_ms, peak_kb } = *figures;
        let (sent, received) = (passed.sent, passed.received);
        Self { who, server, contacts, phase, wall_ms, cpu_ms, peak_kb, requests, sent, received }
    }
}

/// The rows under a head, in Markdown, which is a plain table too.
pub(crate) fn shown(rows: &[Row]) -> String {
    let head = ["who", "server", "contacts", "", "wall", "own CPU", "peak", "requests", "sent", "received"];
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        lines.push(vec![
            row.who.to_owned(),
            row.server.to_owned(),
            row.contacts.to_string(),
            row.phase.to_owned(),
            time(row.wall_ms),
            row.cpu_ms.map_or_else(String::new, time),
            row.peak_kb.map_or_else(String::new, |kb| format!("{} MB", kb.div_ceil(1024))),
            row.requests.to_string(),
            size(row.sent),
            size(row.received),
        ]);
    }
    let widths: Vec<usize> =
        (0..head.len()).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (n, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
        if n == 0 {
            for width in &widths {
                text += &format!("| {} ", "-".repeat(*width));
            }
            text += "|\n";
        }
    }
    text
}

fn time(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1000.0) }
}

fn size(bytes: u64) -> String {
    if bytes < 100_000 { format!("{:.1} kB", bytes as f64 / 1e3) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}
