//! Many ticks in one message: an Arrow IPC stream. (Bodies follow in the next commit; the shapes are final.)

use arrow::error::ArrowError;

use super::json::WireTick;

/// Encodes ticks as one Arrow IPC stream message.
pub fn encode(ticks: &[WireTick]) -> Result<Vec<u8>, ArrowError> {
    let _ = ticks;
    Err(ArrowError::NotYetImplemented("columnar encode".into()))
}
