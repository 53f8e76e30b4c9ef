//! Padding: a ciphertext's length says only which bucket its content fell into.

/// The smallest bucket, in bytes.
pub const SMALLEST_BUCKET: usize = 128;
/// Up to here buckets are powers of two, above it multiples of this. In bytes.
pub const BUCKET_STEP: usize = 4096;
/// The largest bucket, and so one more than the longest content. In bytes.
pub const LARGEST_BUCKET: usize = 256 * 1024;

const _: () = assert!(SMALLEST_BUCKET.is_power_of_two() && BUCKET_STEP.is_power_of_two());
const _: () = assert!(LARGEST_BUCKET.is_multiple_of(BUCKET_STEP));

/// What ends the content; only zeros follow it.
const END: u8 = 0x80;

/// The least bucket that holds so many bytes (MLS-021); none if the largest does not.
#[must_use]
pub const fn bucket(bytes: usize) -> Option<usize> {
    if bytes > LARGEST_BUCKET {
        None
    } else if bytes > BUCKET_STEP {
        Some(bytes.next_multiple_of(BUCKET_STEP))
    } else if bytes > SMALLEST_BUCKET {
        Some(bytes.next_power_of_two())
    } else {
        Some(SMALLEST_BUCKET)
    }
}

/// Content ‖ 80 ‖ 00 …, as long as its bucket; none if it is too long for one.
pub(crate) fn pad(content: &[u8]) -> Option<Vec<u8>> {
    let length = bucket(content.len() + 1)?;
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(content);
    padded.push(END);
    padded.resize(length, 0);
    Some(padded)
}

/// The content that was padded to these bytes; none if [`pad`] makes no such bytes (MLS-022).
pub(crate) fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let end = padded.iter().rposition(|&byte| byte != 0)?;
    let sound = padded[end] == END && bucket(end + 1) == Some(padded.len());
    padded.truncate(end);
    sound.then_some(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // cites: MLS-021
    #[test]
    fn buckets_are_those_of_the_specification() {
        for (bytes, expected) in [
            (1, Some(128)),
            (128, Some(128)),
            (129, Some(256)),
            (257, Some(512)),
            (2049, Some(4096)),
            (4096, Some(4096)),
            (4097, Some(8192)),
            (8193, Some(12_288)),
            (262_144, Some(262_144)),
            (262_145, None),
        ] {
            assert_eq!(bucket(bytes), expected, "{bytes}");
        }
    }

    // cites: MLS-022
    #[test]
    fn other_padding_is_refused() {
        let sound = pad(b"hello").unwrap();
        assert_eq!(unpad(sound.clone()), Some(b"hello".to_vec()));
        let changed = |change: fn(&mut Vec<u8>)| {
            let mut bytes = sound.clone();
            change(&mut bytes);
            unpad(bytes)
        };
        assert_eq!(changed(|bytes| bytes.truncate(100)), None, "no bucket");
        assert_eq!(changed(|bytes| bytes.resize(256, 0)), None, "a larger bucket than need be");
        assert_eq!(changed(|bytes| bytes[127] = 1), None, "something else after the end");
        assert_eq!(changed(|bytes| bytes.fill(0)), None, "no end");
        assert_eq!(unpad(Vec::new()), None);
    }

    proptest! {
        // cites: MLS-021
        #[test]
        fn content_survives_and_only_its_bucket_shows(content in prop::collection::vec(any::<u8>(), 0..9000)) {
            let padded = pad(&content).unwrap();
            prop_assert_eq!(Some(padded.len()), bucket(content.len() + 1));
            prop_assert_eq!(unpad(padded), Some(content));
        }

        #[test]
        fn any_bytes_are_refused_or_what_padding_makes(bytes in prop::collection::vec(prop_oneof![Just(0), Just(END), any::<u8>()], 0..300)) {
            if let Some(content) = unpad(bytes.clone()) {
                prop_assert_eq!(pad(&content), Some(bytes));
            }
        }
    }
}
