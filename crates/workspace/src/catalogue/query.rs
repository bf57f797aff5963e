//! A query whose conditions are known only when it is asked.

use super::{Connection, Row};

/// A value in its place.
#[derive(Clone, Debug)]
pub enum Field {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `NULL`, where a text could be.
    Nothing,
}

/// SQL with its values. Text from outside is never part of the SQL.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    sql: String,
    values: Vec<Field>,
    /// Whether values are set apart by commas, and whether the next one is not the first.
    listing: Option<bool>,
}

impl Query {
    /// Adds SQL.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds the placeholder of a text.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.value(Field::Text(text.into()))
    }

    /// Adds the placeholder of a number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.value(Field::Number(number))
    }

    /// Adds the placeholder of a text, or of nothing.
    pub fn perhaps(&mut self, text: Option<&str>) -> &mut Self {
        self.value(text.map_or(Field::Nothing, |text| Field::Text(text.to_owned())))
    }

    /// Adds the placeholders that `values` adds, between commas.
    pub fn listed(&mut self, values: impl FnOnce(&mut Self)) -> &mut Self {
        self.listing = Some(false);
        values(self);
        self.listing = None;
        self
    }

    pub fn value(&mut self, value: Field) -> &mut Self {
        if let Some(goes_on) = &mut self.listing
            && std::mem::replace(goes_on, true)
        {
            self.sql.push_str(", ");
        }
        self.values.push(value);
        let place = format!("${}", self.values.len());
        self.push(&place)
    }

    /// Adds numbers, between commas; `NULL`, which equals nothing, where there are none. They need no placeholders, of which
    /// there may be too many.
    pub fn numbers(&mut self, numbers: &[i64]) -> &mut Self {
        let list: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let joined = list.join(", ");
        self.push(if list.is_empty() { "NULL" } else { &joined })
    }

    /// The statement, and its values in their order.
    pub fn parts(&self) -> (&str, &[Field]) {
        (&self.sql, &self.values)
    }

    /// All rows.
    pub async fn rows<'e>(
        &mut self,
        from: impl sqlx::Executor<'e, Database = sqlx::Any>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.take().fetch_all(from).await
    }

    /// Does it.
    pub async fn execute(&mut self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        self.take().execute(connection).await?;
        Ok(())
    }

    fn take(&mut self) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments> {
        let Self { sql, values, .. } = std::mem::take(self);
        values.into_iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), |query, value| match value {
            Field::Text(text) => query.bind(text),
            Field::Number(number) => query.bind(number),
            Field::Nothing => query.bind(None::<String>),
        })
    }
}
