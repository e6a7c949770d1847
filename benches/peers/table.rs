//! The table: medians over rounds, a column each, and how we compare with the best peer.

use std::fmt::Write as _;

/// Which of two figures is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// A figure, as the table shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) better: Better,
    pub(crate) digits: usize,
}

/// Those who are compared: we come first.
const SIDES: usize = 3;

/// All figures, as they were measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    unit: Unit,
    /// Of each side what was measured, under a setting of its own, round after round.
    sides: [Vec<(u64, Vec<f64>)>; SIDES],
}

impl Table {
    /// One round's figure of one side, measured with this setting: of several settings each side's best counts.
    pub(crate) fn add(&mut self, what: &str, unit: Unit, side: usize, setting: u64, figure: f64) {
        let place = self.rows.iter().position(|row| row.what == what).unwrap_or_else(|| {
            self.rows.push(Row { what: what.into(), unit, sides: Default::default() });
            self.rows.len() - 1
        });
        let settings = &mut self.rows[place].sides[side];
        match settings.iter_mut().find(|(of, _)| *of == setting) {
            Some((_, figures)) => figures.push(figure),
            None => settings.push((setting, vec![figure])),
        }
    }

    /// Ready for a README. The names are those of the sides.
    pub(crate) fn to_markdown(&self, names: [&str; SIDES]) -> String {
        let mut text = format!("| | {} | ours / best peer |\n|---|{}---|\n", names.join(" | "), "---|".repeat(SIDES));
        for row in &self.rows {
            let best: Vec<Option<f64>> = row.sides.iter().map(|settings| row.unit.best_median(settings)).collect();
            let peers = best[1..].iter().flatten().copied().reduce(|one, other| row.unit.best(one, other));
            let ratio = best[0].zip(peers).map(|(ours, peer)| format!("{:.2}", ours / peer)).unwrap_or_default();
            let cells: Vec<String> = best.iter().map(|figure| row.unit.words(*figure)).collect();
            let _ = writeln!(text, "| {} | {} | {ratio} |", row.what, cells.join(" | "));
        }
        text
    }
}

impl Unit {
    fn best(self, one: f64, other: f64) -> f64 {
        match self.better {
            Better::Less => one.min(other),
            Better::More => one.max(other),
        }
    }

    fn best_median(self, settings: &[(u64, Vec<f64>)]) -> Option<f64> {
        settings.iter().filter_map(|(_, figures)| median(figures)).reduce(|one, other| self.best(one, other))
    }

    fn words(self, figure: Option<f64>) -> String {
        figure.map(|figure| format!("{figure:.*}", self.digits)).unwrap_or_default()
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (below, above) = (sorted.get(sorted.len().saturating_sub(1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*below, *above))
}
