//! Which partition a key goes to: Kafka's own choice, so that a stream keeps its partitions when it moves to brokers.

/// The partition of a message among `partitions`. Messages without a key go to partition 0, where they at least keep
/// their order among themselves.
pub(super) fn partition_of(key: Option<&[u8]>, partitions: u32) -> u32 {
    key.map_or(0, |key| (murmur2(key) & 0x7fff_ffff) % partitions.max(1))
}

/// The 32-bit murmur2 hash as Kafka's Java clients compute it (`org.apache.kafka.common.utils.Utils.murmur2`). It is
/// part of the file format: another hash would send a device's next message to another partition.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Java's length is a 32-bit number; no key comes near its end.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        mixed ^= mixed >> R;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_java_clients() {
        // From `UtilsTest.testMurmur2` of Apache Kafka.
        for (key, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn messages_without_a_key_stay_in_one_partition() {
        assert_eq!(partition_of(None, 7), 0);
    }
}
