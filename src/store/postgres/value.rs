//! Values on their way to PostgreSQL and back.
//!
//! Owns: which of our kinds fits which of its types. Must not: know a statement.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

use super::super::driver::Value;

/// What PostgreSQL can't keep in a text, and what stands for it there.
const NUL: char = '\0';
const INSTEAD: &str = "\u{fffd}";

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Text(text), &(Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN)) => {
                if text.contains(NUL) { text.replace(NUL, INSTEAD).to_sql(ty, out) } else { text.to_sql(ty, out) }
            }
            (Self::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Self::Int(number @ (0 | 1)), &Type::BOOL) => (*number == 1).to_sql(ty, out),
            (Self::Bool(yes), &Type::BOOL) => yes.to_sql(ty, out),
            (Self::Bool(yes), &Type::INT8) => i64::from(*yes).to_sql(ty, out),
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            // Not the value: it may be about a person.
            (_, ty) => Err(format!("a value of another kind than {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *ty {
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                Self::Text(String::from_sql(ty, raw)?)
            }
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Bool(bool::from_sql(ty, raw)?),
            Type::BYTEA => Self::Bytes(Vec::from_sql(ty, raw)?),
            _ => return Err(format!("a type that is not ours: {ty}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// How many columns the statement gives.
pub(super) fn width(statement: &Statement) -> usize {
    statement.columns().len()
}

/// The values of a row, behind the others.
pub(super) fn read(row: &Row, values: &mut Vec<Value>) -> Result<(), tokio_postgres::Error> {
    for column in 0..row.len() {
        values.push(row.try_get(column)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_where_they_fit_and_nowhere_else() {
        let table = [
            (Value::from("a"), Type::TEXT, true),
            (Value::from("a"), Type::INT8, false),
            (Value::Int(1), Type::INT8, true),
            (Value::Int(1), Type::BOOL, true),
            (Value::Int(2), Type::BOOL, false),
            (Value::Int(1 << 40), Type::INT4, false),
            (Value::Bool(true), Type::INT8, true),
            (Value::Bytes(vec![0, 1]), Type::BYTEA, true),
            (Value::Bytes(vec![0, 1]), Type::TEXT, false),
            (Value::Null, Type::BYTEA, true),
        ];
        for (value, ty, fits) in table {
            assert_eq!(value.to_sql(&ty, &mut BytesMut::new()).is_ok(), fits, "{value:?} as {ty}");
        }
        let mut out = BytesMut::new();
        let _ = Value::from("a\0b").to_sql(&Type::TEXT, &mut out).unwrap();
        assert_eq!(&out[..], "a\u{fffd}b".as_bytes());
    }
}
