//! Aligned columns for terminals.

use std::fmt::Write as _;

use crate::text::{visible, width};

/// Renders rows under headings. With a `limit` the widest columns are cut until a row fits; cut cells end in `…`.
pub fn render(headings: &[&str], rows: &[Vec<String>], limit: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| width(heading)).collect();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(width(cell));
        }
    }
    if let Some(limit) = limit {
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > 12) else { break };
            *widest -= 1;
        }
    }
    let mut text = String::new();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(&rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let cell = cut(cell, widths[column]);
            let pad = widths[column] - width(&cell);
            let _ = write!(line, "{cell}{:pad$}  ", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cut(cell: &str, limit: usize) -> String {
    if width(cell) <= limit {
        return cell.to_owned();
    }
    let mut text = String::new();
    for c in cell.chars() {
        if width(&text) + width(c.encode_utf8(&mut [0; 4])) + 1 > limit {
            break;
        }
        text.push(c);
    }
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_wide_ones_are_cut_to_fit() {
        let rows = vec![vec!["a".to_owned(), "x".repeat(100)], vec!["日本語".to_owned(), "y".to_owned()]];
        let text = render(&["ONE", "TWO"], &rows, Some(40));
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
        assert!(text.contains('…'));
        assert!(render(&["ONE", "TWO"], &rows, None).contains(&"x".repeat(100)));
    }
}
