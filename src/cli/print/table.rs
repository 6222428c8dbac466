//! `table`: what has columns, drawn.

use super::{Answer, line, rows};

pub(super) fn print(answer: &Answer<'_>, out: &mut Vec<u8>) -> bool {
    let Some((heads, rows)) = rows::rows(answer) else { return false };
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    // etcdctl's tables cut the blanks around a cell's text.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.trim().to_string()).collect()).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().map(|row| &row[column]).chain([&heads[column]]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    line!(out, "{}", rule(&widths, ["┌", "┬", "┐"]));
    let centred: Vec<String> =
        heads.iter().zip(&widths).map(|(head, width)| format!("{head:^width$}")).collect();
    line!(out, "│ {} │", centred.join(" │ "));
    line!(out, "{}", rule(&widths, ["├", "┼", "┤"]));
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        line!(out, "│ {} │", cells.join(" │ "));
    }
    line!(out, "{}", rule(&widths, ["└", "┴", "┘"]));
    true
}

fn rule(widths: &[usize], [left, middle, right]: [&str; 3]) -> String {
    let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    format!("{left}{}{right}", lines.join(middle))
}
