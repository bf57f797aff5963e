//! Where receipts were taken from that were not written here.

use provenv_definition::Digest;
use provenv_image::proof::TakenFrom;

use super::{Catalogue, Connection, Result, corrupt};

impl Catalogue {
    /// Where a receipt was taken from; `None` of one that was written here.
    pub async fn taken_from(&self, receipt: &Digest) -> Result<Option<TakenFrom>> {
        let row: Option<(String, Option<String>)> =
            sqlx::query_as("SELECT place, signed_by FROM taken_receipts WHERE receipt = $1")
                .bind(receipt.to_string())
                .fetch_optional(&self.pool)
                .await?;
        let Some((place, key)) = row else { return Ok(None) };
        let signed_by = key.map(|key| key.parse()).transpose().map_err(corrupt("digest"))?;
        Ok(Some(TakenFrom { place, signed_by }))
    }
}

/// Notes where a receipt that is new here comes from. One that a trusted key stands for stays so, wherever it is met again.
pub(super) async fn note_taken(
    connection: &mut Connection,
    receipt: &Digest,
    from: &TakenFrom,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO taken_receipts (receipt, place, signed_by, taken_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (receipt) DO UPDATE SET place = excluded.place, signed_by = excluded.signed_by
         WHERE taken_receipts.signed_by IS NULL AND excluded.signed_by IS NOT NULL",
    )
    .bind(receipt.to_string())
    .bind(&from.place)
    .bind(from.signed_by.as_ref().map(Digest::to_string))
    .bind(jiff::Timestamp::now().to_string())
    .execute(connection)
    .await?;
    Ok(())
}
