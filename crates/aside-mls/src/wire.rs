//! What has to be known of bytes of others before MLS decodes them: by RFC 9420's presentation, with nothing allocated.

use crate::Reason;

/// The greatest number of leaves of a group's tree, blank ones counted: a power of two, as trees are (MLS-034).
pub const MAX_LEAVES: u32 = 1024;
/// The greatest length of a Welcome or GroupInfo, in bytes: 2 MiB, of which a group of [`MAX_LEAVES`] devices with
/// certificates of 600 bytes that are all added at once needs a little more than half (MLS-035).
pub const MAX_WELCOME_BYTES: usize = 2 * 1024 * 1024;

/// The greatest length of a commit, in bytes: 2 MiB, of which one that adds [`MAX_LEAVES`] devices, or renews a path to as many
/// that were never heard, needs about half (MLS-041).
pub const MAX_COMMIT_BYTES: usize = 2 * 1024 * 1024;
/// The greatest length of a KeyPackage, in bytes: four times that of the certificate in it (MLS-042).
pub const MAX_KEY_PACKAGE_BYTES: usize = 16 * 1024;

/// Leaves, and the parents between them.
const MAX_NODES: usize = 2 * MAX_LEAVES as usize - 1;

/// Refuses a `ratchet_tree` extension of more nodes than a group has (MLS-034), and one with a leaf that has extensions (MLS-047). A
/// blank node is a single byte, and hundreds of them in memory.
pub(crate) fn check_tree(extension: &[u8]) -> Result<(), Reason> {
    let mut nodes = Reader(Reader(extension).vector().ok_or(Reason::Malformed)?);
    let mut count = 0;
    while !nodes.0.is_empty() {
        count += 1;
        if count > MAX_NODES {
            return Err(Reason::TooLarge);
        }
        if let Some(leaf) = nodes.node().ok_or(Reason::Malformed)? {
            leaf.check()?;
        }
    }
    Ok(())
}

/// How long the KeyPackage in this MLSMessage may be used, in seconds. Refuses one that ends before it begins, and one whose leaf has
/// extensions (MLS-047).
pub(crate) fn lifetime(key_package: &[u8]) -> Result<u64, Reason> {
    let leaf = key_package_leaf(key_package).ok_or(Reason::Malformed)?;
    leaf.check()?;
    let [not_before, not_after] = leaf.lifetime.ok_or(Reason::Malformed)?;
    not_after.checked_sub(not_before).ok_or(Reason::Malformed)
}

fn key_package_leaf(key_package: &[u8]) -> Option<Leaf> {
    const MLS10_KEY_PACKAGE: [u8; 4] = [0, 1, 0, 5];
    let mut reader = Reader(key_package.strip_prefix(&MLS10_KEY_PACKAGE)?);
    let _version_and_suite = reader.take(4)?;
    let _init_key = reader.vector()?;
    reader.leaf()
}

/// What is looked at of a LeafNode.
struct Leaf {
    /// If it is a KeyPackage's.
    lifetime: Option<[u64; 2]>,
    has_extensions: bool,
}

impl Leaf {
    fn check(&self) -> Result<(), Reason> {
        if self.has_extensions { Err(Reason::Invalid) } else { Ok(()) }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn time(&mut self) -> Option<u64> {
        self.take(8)?.try_into().map(u64::from_be_bytes).ok()
    }

    /// A vector, its length in one, two or four bytes (RFC 9420, section 2.1.2).
    fn vector(&mut self) -> Option<&'a [u8]> {
        let first = self.byte()?;
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => return None,
        };
        let length = self
            .take(more)?
            .iter()
            .fold(usize::from(first & 0x3f), |length, &byte| length << 8 | usize::from(byte));
        self.take(length)
    }

    /// An `optional<Node>` (section 12.4.3.3), and the leaf if it is one.
    fn node(&mut self) -> Option<Option<Leaf>> {
        match (self.byte()?, self.0.first()) {
            (0, _) => Some(None),
            (1, Some(1)) => {
                self.byte()?;
                self.leaf().map(Some)
            }
            (1, Some(2)) => {
                self.byte()?;
                let _key_parent_hash_unmerged = [self.vector()?, self.vector()?, self.vector()?];
                Some(None)
            }
            _ => None,
        }
    }

    /// A LeafNode (section 7.2).
    fn leaf(&mut self) -> Option<Leaf> {
        let _keys = [self.vector()?, self.vector()?];
        let _credential = (self.take(2)?, self.vector()?);
        for _capability in 0..5 {
            self.vector()?;
        }
        let lifetime = match self.byte()? {
            1 => Some([self.time()?, self.time()?]),
            2 => None,
            3 => {
                self.vector()?;
                None
            }
            _ => return None,
        };
        let [extensions, _signature] = [self.vector()?, self.vector()?];
        Some(Leaf { lifetime, has_extensions: !extensions.is_empty() })
    }
}
