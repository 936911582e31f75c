//! Aligned columns of text.

/// Rows of cells; the first column is aligned to the left, the others to the right.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Table { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Shortens what stands in the first column so that a line has no more than `width` characters, but to no less than `least`.
    pub(super) fn shorten_first(&mut self, width: usize, least: usize) {
        let others: usize = (1..self.columns()).map(|column| self.width(column) + 2).sum();
        let room = width.saturating_sub(others).max(least);
        for cell in self.rows.iter_mut().filter_map(|row| row.first_mut()) {
            *cell = short(cell, room);
        }
    }

    fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// A text of no more than so many characters: what is too much is taken out of its middle.
pub(super) fn short(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let (before, behind) = (most.saturating_sub(1).div_ceil(2), most.saturating_sub(1) / 2);
    let start: String = text.chars().take(before).collect();
    let end: String = text.chars().skip(count - behind).collect();
    format!("{start}…{end}")
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widths: Vec<usize> = (0..self.columns()).map(|column| self.width(column)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["namespace", "documents"]);
        table.row(vec!["shop.orders".into(), "7".into()]);
        assert_eq!(table.to_string(), "namespace    documents\nshop.orders          7\n");
        table.shorten_first(17, 5);
        assert_eq!(table.to_string(), "nam…ce  documents\nsho…rs          7\n");
    }
}
