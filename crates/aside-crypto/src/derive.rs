//! Keys derived from secrets: HKDF-SHA-256 (RFC 5869) without salt, a label for its info (CONV-007).

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::label;

/// `N` bytes, at most 8160, from `secret`, which has as much entropy as is wanted of them.
pub(crate) fn derive<const N: usize>(
    secret: &[u8],
    label: &str,
    fields: &[&[u8]],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives no more") }
    let mut derived = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(None, secret)
        .expand(&label::labeled(label, fields), &mut *derived)
        .expect("the length was checked when this was compiled");
    derived
}
