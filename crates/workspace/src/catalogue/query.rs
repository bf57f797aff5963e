//! A query whose conditions are known only when it is asked.

use super::Row;

/// A value in its place.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(i64),
}

/// SQL with its values. Text from outside is never part of the SQL.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    /// Adds SQL.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds the placeholder of a text.
    pub fn text(&mut self, text: impl Into<String>) -> &mut Self {
        self.value(Value::Text(text.into()))
    }

    /// Adds the placeholder of a number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.value(Value::Number(number))
    }

    fn value(&mut self, value: Value) -> &mut Self {
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

    /// All rows.
    pub async fn rows(self, pool: &super::Pool) -> Result<Vec<Row>, sqlx::Error> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(self.sql));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        query.fetch_all(pool).await
    }
}
