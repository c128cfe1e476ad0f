//! Ids as values of PostgreSQL's type `uuid`.

use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef},
};
use uuid::Uuid;

use crate::domain::id::{EmailChangeId, ImportId, SessionId, UserId};

macro_rules! uuids {
    ($($id:ident)+) => { $(
        impl Type<Postgres> for $id {
            fn type_info() -> PgTypeInfo {
                <Uuid as Type<Postgres>>::type_info()
            }
        }

        impl Encode<'_, Postgres> for $id {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <Uuid as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
            }
        }

        impl Decode<'_, Postgres> for $id {
            fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
                <Uuid as Decode<'_, Postgres>>::decode(value).map(Self)
            }
        }
    )+ };
}

uuids! { UserId SessionId EmailChangeId ImportId }
