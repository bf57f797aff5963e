//! Many rows by few statements.

use super::query::{Field, Query};
use super::{Connection, Result};

/// How many there are in a statement: few numbers, so that there are few statements and the database knows all; and such that what
/// is asked for at once needs two of them.
const SIZES: &[usize] = &[32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/// What is before and behind the rows of a statement.
pub type Around = (&'static str, &'static str);

/// Writes rows between what is before and what is behind them: `INSERT INTO t (a, b) VALUES `, and perhaps ` ON CONFLICT …`.
pub async fn write_rows(
    connection: &mut Connection,
    around: Around,
    rows: &[Vec<Field>],
) -> Result<(), sqlx::Error> {
    write(connection, rows, around, |query, row| {
        for field in row {
            query.value(field.clone());
        }
    })
    .await
}

/// Writes rows; `values` adds those of one, without commas.
pub(super) async fn write<T>(
    connection: &mut Connection,
    rows: &[T],
    (before, behind): Around,
    values: impl Fn(&mut Query, &T),
) -> Result<(), sqlx::Error> {
    for part in parts(rows) {
        let mut query = Query::default();
        query.push(before);
        for (place, row) in part.iter().enumerate() {
            query.push(if place == 0 { "(" } else { ", (" });
            query.listed(|query| values(query, row)).push(")");
        }
        query.push(behind).execute(connection).await?;
    }
    Ok(())
}

/// `all` in parts of such sizes.
pub(super) fn parts<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = all;
    std::iter::from_fn(move || {
        let size = *SIZES.iter().find(|size| **size <= rest.len())?;
        let (part, behind) = rest.split_at(size);
        rest = behind;
        Some(part)
    })
}
