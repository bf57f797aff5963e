//! Many rows by few statements.

use super::query::{Field, Query, array, is_postgres};
use super::{Connection, Result};

/// How many there are in a statement of SQLite: few numbers, so that there are few statements and the database knows all.
const SIZES: &[usize] = &[64, 32, 16, 8, 4, 2, 1];
/// How many there are in one of PostgreSQL at the most.
const MOST: usize = 1024;

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
    if is_postgres(connection) {
        for part in rows.chunks(MOST) {
            columns(part, (before, behind), &values).execute(connection).await?;
        }
        return Ok(());
    }
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

/// Rows as PostgreSQL reads them soonest: each column is an array, so that it is one statement however many there are.
fn columns<T>(rows: &[T], (before, behind): Around, values: impl Fn(&mut Query, &T)) -> Query {
    let rows: Vec<Vec<Field>> = rows
        .iter()
        .map(|row| {
            let mut query = Query::default();
            values(&mut query, row);
            query.into_values()
        })
        .collect();
    let mut query = Query::default();
    query.push(before.trim_end().trim_end_matches("VALUES")).push("SELECT * FROM unnest(");
    for column in 0..rows.first().map_or(0, Vec::len) {
        let is_number = rows.iter().any(|row| matches!(row[column], Field::Number(_)));
        let numbers: Vec<Option<String>> = rows
            .iter()
            .map(|row| match &row[column] {
                Field::Number(number) => Some(number.to_string()),
                Field::Text(_) | Field::Nothing => None,
            })
            .collect();
        let texts = rows.iter().zip(&numbers).map(|(row, number)| match &row[column] {
            Field::Text(text) => Some(text.as_str()),
            Field::Number(_) | Field::Nothing => number.as_deref(),
        });
        query.push(if column == 0 { "CAST(" } else { ", CAST(" }).text(array(texts));
        query.push(if is_number { " AS BIGINT[])" } else { " AS TEXT[])" });
    }
    query.push(")").push(behind);
    query
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
