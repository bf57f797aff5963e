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
pub struct Query {
    sql: String,
    values: Vec<Field>,
    /// Whether values are set apart by commas, and whether the next one is not the first.
    listing: Option<bool>,
    is_postgres: bool,
}

/// Whether a connection is one to PostgreSQL.
pub(super) fn is_postgres(connection: &Connection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

impl Query {
    /// One with what each database has in words of its own: [`Self::among`], [`Self::table`].
    pub fn of(connection: &Connection) -> Self {
        Self { is_postgres: is_postgres(connection), ..Self::default() }
    }

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

    /// Adds the placeholder of a value.
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

    /// Adds that what is before it is one of these. It is one placeholder however many there are, so the database knows the statement.
    pub fn among<T: AsRef<str>>(&mut self, texts: &[T]) -> &mut Self {
        if self.is_postgres {
            let array = array(texts.iter().map(|text| Some(text.as_ref())));
            return self.push(" = ANY(CAST(").text(array).push(" AS TEXT[]))");
        }
        let list = serde_json::Value::from_iter(texts.iter().map(AsRef::as_ref));
        self.push(" IN (SELECT value FROM json_each(").text(list.to_string()).push("))")
    }

    /// Adds a table with these rows of texts, and their places from 0 on as `place`. It is as many placeholders as columns at the most.
    pub fn table<const WIDTH: usize>(
        &mut self,
        name: &str,
        columns: [&str; WIDTH],
        rows: &[[String; WIDTH]],
    ) -> &mut Self {
        if self.is_postgres {
            self.push("(SELECT *, number - 1 AS place FROM unnest(");
            for column in 0..columns.len() {
                let array = array(rows.iter().map(|row| Some(row[column].as_str())));
                self.push(if column == 0 { "CAST(" } else { ", CAST(" }).text(array).push(" AS TEXT[])");
            }
            let listed = columns.join(", ");
            return self.push(&format!(") WITH ORDINALITY AS r({listed}, number)) AS {name}"));
        }
        self.push("(SELECT key AS place");
        for (place, column) in columns.iter().enumerate() {
            self.push(&format!(", json_extract(value, '$[{place}]') AS {column}"));
        }
        let list = serde_json::Value::from_iter(rows.iter().map(|row| row.to_vec()));
        self.push(" FROM json_each(").text(list.to_string()).push(&format!(")) AS {name}"))
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

    /// The values, without the SQL.
    pub(super) fn into_values(self) -> Vec<Field> {
        self.values
    }

    fn take(&mut self) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments> {
        let (sql, values) = (std::mem::take(&mut self.sql), std::mem::take(&mut self.values));
        values.into_iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), |query, value| match value {
            Field::Text(text) => query.bind(text),
            Field::Number(number) => query.bind(number),
            Field::Nothing => query.bind(None::<String>),
        })
    }
}

/// An array as PostgreSQL reads it from a text.
pub(super) fn array<'a>(values: impl Iterator<Item = Option<&'a str>>) -> String {
    let mut array = String::from("{");
    for value in values {
        if array.len() > 1 {
            array.push(',');
        }
        let Some(value) = value else {
            array.push_str("NULL");
            continue;
        };
        array.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                array.push('\\');
            }
            array.push(c);
        }
        array.push('"');
    }
    array.push('}');
    array
}

#[cfg(test)]
mod tests {
    use super::array;

    #[test]
    fn an_array_is_what_postgresql_reads_as_these_texts() {
        let values = [Some("a\"b\\c"), None, Some(""), Some("NULL"), Some("{x,y}")];
        assert_eq!(array(values.into_iter()), r#"{"a\"b\\c",NULL,"","NULL","{x,y}"}"#);
        assert_eq!(array(std::iter::empty()), "{}");
    }
}
