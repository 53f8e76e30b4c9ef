//! placeholder
/// placeholder
pub fn mls_message(_: &[u8]) {}
