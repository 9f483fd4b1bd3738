//! Sealed bytes as tables keep them: all that opens them in one column; nonce and name of the master key, which stand in
//! their header, once more in columns of their own, so that rows under an old master key are found.

use data_encoding::HEXLOWER;

use crate::Error;
use crate::seal::Sealer;

/// Columns of a sealed secret.
pub(super) struct Sealed {
    /// `…_encrypted`.
    pub(super) bytes: Vec<u8>,
    /// `nonce`.
    pub(super) nonce: Vec<u8>,
    /// `key_id`.
    pub(super) key_id: String,
}

impl Sealed {
    /// Seals `plain` for row `row` of `table`.
    pub(super) fn new(sealer: &Sealer, table: &str, row: &str, plain: &[u8]) -> Result<Self, Error> {
        let bytes = sealer.seal(table, row, plain)?;
        // version ‖ 4 bytes of name ‖ 12 bytes of nonce ‖ …
        let (key_id, nonce) = (HEXLOWER.encode(&bytes[1..5]), bytes[5..17].to_vec());
        Ok(Self { bytes, nonce, key_id })
    }
}
