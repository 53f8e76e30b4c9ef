//! What the profile of MLS adds to it.

use aside_mls::{GroupId, bucket, testing};
use aside_proto::id::ConversationId;

use super::{array, bytes, check, ensure, number};

// cites: MLS-002
#[test]
fn group_ids() {
    check("mls", Some("group_id"), |vector| {
        let conversation = ConversationId::new(array(&vector["conversation_id"]));
        let generation = u32::try_from(number(&vector["generation"])).unwrap();
        let id = GroupId { conversation, generation };
        ensure(id.to_bytes()[..] == bytes(&vector["group_id"]), "group_id")
    });
}

// cites: MLS-014
#[test]
fn headers() {
    check("mls", Some("header"), |vector| {
        let data = testing::authenticated_data(&bytes(&vector["header"]));
        ensure(data[..] == bytes(&vector["authenticated_data"]), "authenticated_data")
    });
}

// cites: MLS-020, MLS-021
#[test]
fn buckets() {
    check("mls", Some("bucket"), |vector| {
        let size = usize::try_from(number(&vector["bytes"])).unwrap();
        let padded = testing::pad(&vec![0x80; size]).ok_or("too-long")?;
        ensure(bucket(size + 1) == Some(padded.len()), "bucket")?;
        ensure(padded.len() as u64 == number(&vector["padded_bytes"]), "padded_bytes")
    });
}

// cites: MLS-020, MLS-022
#[test]
fn padding() {
    check("mls", Some("padded"), |vector| {
        let padded = bytes(&vector["application_data"]);
        let content = testing::unpad(padded.clone()).ok_or("padding")?;
        ensure(content == bytes(&vector["content"]), "content")?;
        ensure(testing::pad(&content) == Some(padded), "application_data")
    });
}
