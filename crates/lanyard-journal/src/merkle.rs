//! The Merkle tree of RFC 6962, section 2.1, over SHA-256. Only the tree's frontier is kept in
//! memory.

use ring::digest::{Context, SHA256};

/// A SHA-256 digest, as raw bytes.
pub type Hash = [u8; 32];

fn hash(prefix: u8, parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash of a leaf: `SHA-256(0x00 || record)`.
#[must_use]
pub fn leaf(record: &[u8]) -> Hash {
    hash(0, &[record])
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    hash(1, &[left, right])
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Builds a frontier from its stored parts; `None` when the number of roots does not fit the
    /// size.
    #[must_use]
    pub fn from_parts(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (usize::try_from(size.count_ones()).ok()? == roots.len()).then_some(Self { size, roots })
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends `record` as the next leaf.
    pub fn push(&mut self, record: &[u8]) {
        let mut hash = leaf(record);
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.roots.pop() {
                hash = node(&left, &hash);
            }
            size >>= 1;
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The tree's root. An empty tree has the hash of the empty string, as RFC 6962 says.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else {
            let mut empty = [0; 32];
            empty.copy_from_slice(ring::digest::digest(&SHA256, b"").as_ref());
            return empty;
        };
        roots.fold(*last, |right, left| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962, word for word.
    fn naive(records: &[Vec<u8>]) -> Hash {
        match records.len() {
            0 => Frontier::default().root(),
            1 => leaf(&records[0]),
            n => {
                let split = n.next_power_of_two() / 2;
                node(&naive(&records[..split]), &naive(&records[split..]))
            }
        }
    }

    fn hex(hash: &Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_frontier_agrees_with_the_definition() {
        let records: Vec<Vec<u8>> = (0..130_u8).map(|n| vec![n; usize::from(n) % 7]).collect();
        let mut frontier = Frontier::default();
        for (n, record) in records.iter().enumerate() {
            assert_eq!(frontier.root(), naive(&records[..n]));
            frontier.push(record);
        }
    }

    #[test]
    fn known_roots() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&Frontier::default().root()), empty);
        let leaf_of_nothing = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(hex(&leaf(b"")), leaf_of_nothing);
    }

    #[test]
    fn a_frontier_goes_on_from_its_parts() {
        let mut whole = Frontier::default();
        (0..11_u8).for_each(|n| whole.push(&[n]));
        let mut again = Frontier::from_parts(whole.size(), whole.roots().to_vec()).unwrap();
        whole.push(b"x");
        again.push(b"x");
        assert_eq!(whole.root(), again.root());
        assert!(Frontier::from_parts(3, vec![[0; 32]]).is_none());
    }
}
