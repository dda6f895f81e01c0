//! Tests S52: searches the memory of this process for a secret that was freed.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The bytes of memory that are read at once.
const READ_AT_ONCE: usize = 1 << 20;

/// A secret that is not in the binary, and is in memory only once unless it is copied.
fn secret() -> Vec<u8> {
    (0..48_u8)
        .map(|place| place.wrapping_mul(7) ^ 0xA5)
        .collect()
}

/// Counts how often the secret is in writable memory. The search itself holds no copy of it.
fn copies() -> usize {
    let is_secret = |bytes: &[u8]| {
        let wanted = (0..48_u8).map(|place| place.wrapping_mul(7) ^ 0xA5);
        bytes.iter().copied().eq(wanted)
    };
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0; READ_AT_ONCE];
    let own = buffer.as_ptr() as u64;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let parsed = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, end) = (parsed(from), parsed(to));
        while at < end {
            let length = READ_AT_ONCE.min(usize::try_from(end - at).unwrap());
            // A page that is not there cannot be read, and holds nothing.
            if memory
                .read_at(buffer.get_mut(..length).unwrap(), at)
                .is_ok()
            {
                let windows = buffer.get(..length).unwrap().windows(48).enumerate();
                let here = windows.filter(|(offset, bytes)| {
                    let address = at + *offset as u64;
                    let in_buffer = (own..own + READ_AT_ONCE as u64).contains(&address);
                    bytes.first() == Some(&0xA5) && !in_buffer && is_secret(bytes)
                });
                found += here.count();
            }
            // What lies across two reads is in the second one whole, and never in both.
            let last = at + length as u64 >= end;
            at += if last {
                length as u64
            } else {
                length as u64 - 47
            };
        }
    }
    buffer.fill(0);
    found
}

#[test]
fn s52_what_is_freed_is_wiped() {
    let kept = secret();
    assert_eq!(copies(), 1, "the search finds what is there");
    // As a credential goes through this process: copied into messages, grown in buffers, parsed,
    // freed.
    let passed: Vec<Vec<u8>> = (0..64)
        .map(|round| {
            let mut buffer = Vec::with_capacity(round);
            buffer.extend_from_slice(&kept);
            buffer.extend(std::iter::repeat_n(0, round * 100));
            buffer.shrink_to_fit();
            buffer
        })
        .collect();
    assert!(copies() > 1);
    drop(passed);
    assert_eq!(copies(), 1);
    drop(kept);
    assert_eq!(copies(), 0);
}
